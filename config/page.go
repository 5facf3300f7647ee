package config

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// Page says who may see the page of `holdfast run`, and who may start something
// there. There is no page without it.
type Page struct {
	URL   string     `yaml:"url"`  // the address in browsers: https://holdfast.example.com
	Open  bool       `yaml:"open"` // nobody logs in; on this machine alone
	Users []PageUser `yaml:"users"`
	OIDC  *PageOIDC  `yaml:"oidc"`
}

// PageUser logs in with a password.
type PageUser struct {
	Name     string    `yaml:"name"`
	Password Reference `yaml:"password"` // of its hash, as `holdfast page password` makes it
	Role     string    `yaml:"role"`     // viewer or operator
}

// PageOIDC lets in whom an OpenID provider knows.
type PageOIDC struct {
	Issuer       string    `yaml:"issuer"`
	ClientID     string    `yaml:"client_id"`
	ClientSecret Reference `yaml:"client_secret"`
	Claim        string    `yaml:"claim"`  // what distinguishes people: email when empty, or groups
	Scopes       []string  `yaml:"scopes"` // asked for beside openid, profile and email
	Operators    []string  `yaml:"operators"`
	Viewers      []string  `yaml:"viewers"` // '*' is everybody
}

// Enabled reports whether there is a page.
func (p Page) Enabled() bool { return p.Open || len(p.Users) > 0 || p.OIDC != nil }

func (c *Config) checkPage() error {
	p := c.Page
	if !p.Enabled() {
		if p.URL != "" {
			return errors.New("page.url: say who may log in: page.users or page.oidc")
		}
		return nil
	}
	switch {
	case !c.HTTP.Enabled():
		return errors.New("page: say where to listen: http.listen: 127.0.0.1:7433")
	case p.Open && (len(p.Users) > 0 || p.OIDC != nil):
		return errors.New("page.open: it leaves no room for users or oidc; remove it, or them")
	case p.Open && c.HTTP.AllowRemote:
		return errors.New("page.open: a page without a login is for this machine alone; remove http.allow_remote")
	}
	u, err := url.Parse(p.URL)
	if p.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("page.url: want an address such as https://holdfast.example.com")
	}
	if err := p.checkUsers(); err != nil {
		return err
	}
	return p.OIDC.check(p.URL)
}

func (p Page) checkUsers() error {
	seen := map[string]bool{}
	for i, u := range p.Users {
		key := fmt.Sprintf("page.users[%d]", i)
		switch {
		case strings.TrimSpace(u.Name) == "":
			return fmt.Errorf("%s.name: want a name", key)
		case seen[u.Name]:
			return fmt.Errorf("%s.name: %s is listed twice", key, u.Name)
		case u.Role != "viewer" && u.Role != "operator":
			return fmt.Errorf("%s.role: want viewer or operator", key)
		case u.Password == "":
			return fmt.Errorf("%s.password: want a reference to a hash that `holdfast page password` made", key)
		}
		seen[u.Name] = true
		if err := u.Password.check(key + ".password"); err != nil {
			return err
		}
	}
	return nil
}

func (o *PageOIDC) check(address string) error {
	switch {
	case o == nil:
		return nil
	case address == "":
		return errors.New("page.url: an OpenID provider sends back to it, such as https://holdfast.example.com")
	case !strings.HasPrefix(o.Issuer, "https://") && !strings.HasPrefix(o.Issuer, "http://"):
		return errors.New("page.oidc.issuer: want an address such as https://login.example.com")
	case o.ClientID == "":
		return errors.New("page.oidc.client_id: want the client that the provider has for this page")
	case len(o.Operators)+len(o.Viewers) == 0:
		return errors.New("page.oidc: say who may see the page: operators or viewers")
	}
	return o.ClientSecret.check("page.oidc.client_secret")
}

// references are those of the page, by their keys.
func (p Page) references() map[string]Reference {
	out := map[string]Reference{}
	for i, u := range p.Users {
		out[fmt.Sprintf("page.users[%d].password", i)] = u.Password
	}
	if p.OIDC != nil {
		out["page.oidc.client_secret"] = p.OIDC.ClientSecret
	}
	return out
}

// StoragePrice reads what a GiB costs in a month, and in which currency: "0.023 USD". It is
// 0 when none is declared.
func (r Repository) StoragePrice() (perGiBMonth float64, currency string, err error) {
	perGiBMonth, currency, ok := price(r.Price)
	if !ok {
		return 0, "", errors.New("repository.price: want what a GiB costs in a month, such as 0.023 USD")
	}
	return perGiBMonth, currency, nil
}

// price reads an amount and its currency; 0 for an empty text.
func price(text string) (amount float64, currency string, ok bool) {
	if text == "" {
		return 0, "", true
	}
	number, currency, ok := strings.Cut(text, " ")
	amount, err := strconv.ParseFloat(number, 64)
	currency = strings.TrimSpace(currency)
	return amount, currency, ok && err == nil && amount > 0 && !math.IsInf(amount, 0) && currency != ""
}
