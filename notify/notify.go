package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"holdfast"
)

// Within is how long a delivery may take.
const Within = 15 * time.Second

// Sender writes to one address.
type Sender struct {
	Address holdfast.SecretFunc
	// Learn is given the parts of the address that are secret, to hide them.
	Learn func(holdfast.Secret) holdfast.Secret
	Hide  func(string) string
}

// Message is what is delivered.
type Message struct {
	Title, Text string
	// Incident identifies the incident that a manager of incidents, such as PagerDuty,
	// opens for a message: one for all with the same. Resolved closes it.
	Incident string
	Resolved bool
}

// Send delivers a message, or says why not.
func (s Sender) Send(ctx context.Context, m Message) error {
	if err := ctx.Err(); err != nil {
		return err // what is begun cannot be stopped
	}
	address, err := s.Address(ctx)
	if err != nil {
		return err
	}
	if err := s.learn(address); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, Within, fmt.Errorf("no answer within %v", Within))
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- deliver(address.Reveal(), m) }()
	select {
	case err = <-sent:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err == nil || s.Hide == nil {
		return err
	}
	return errors.New(s.Hide(err.Error()))
}

// deliver sends by the library, which takes no context: it bounds itself.
//
// The service is called here and not by the library's router, in a goroutine of which
// it would end the program: some of its services panic where there is no connection
// (v0.13.2: Zulip).
func deliver(address string, m Message) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the service cannot be reached, or its answer is not as expected: %v", cause)
		}
	}()
	if chats := telegram(address); chats != nil {
		m.Text = m.Title + "\n\n" + m.Text
		var errs []error
		for _, chat := range chats {
			errs = append(errs, deliver(chat, m))
		}
		return errors.Join(errs...)
	}
	to, err := new(router.ServiceRouter).Locate(addressed(address))
	if err != nil {
		return err
	}
	params := types.Params{}
	if slices.Contains(untitled, to.GetID()) {
		m.Text = m.Title + "\n\n" + m.Text
	} else {
		params.SetTitle(m.Title)
	}
	if to.GetID() == "pagerduty" {
		incident(params, m)
	}
	return to.Send(m.Text, &params)
}

// untitled are the services for which the library drops a title, or refuses the
// message because of it.
var untitled = []string{
	"googlechat", "matrix", "mattermost", "pagerduty", "rocketchat", "signal", "wecom", "zulip",
}

// incident opens or closes an incident of PagerDuty: an all-clear must not call somebody
// at night. https://developer.pagerduty.com/docs/events-api-v2-overview
func incident(params types.Params, m Message) {
	if m.Incident == "" {
		return
	}
	params["dedup_key"] = "holdfast " + m.Incident
	if m.Resolved {
		params["action"] = "resolve"
	}
}

// telegram are the chats of an address of Telegram, as web hooks; nil for other
// addresses. The library's own way calls a message delivered for which there was
// no connection (v0.13.2: it makes an error of the answer, and there is none).
func telegram(address string) []string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "telegram" || u.User == nil {
		return nil
	}
	var out []string
	for _, chat := range strings.Split(cmp.Or(u.Query().Get("chats"), u.Query().Get("channels")), ",") {
		q := url.Values{"template": {"json"}, "messagekey": {"text"}}
		chat, thread, within := strings.Cut(chat, ":")
		q.Set("$chat_id", chat)
		if within {
			q.Set("$message_thread_id", thread)
		}
		hook := url.URL{Scheme: "generic", Host: "api.telegram.org", RawQuery: q.Encode()}
		hook.Path = "/bot" + u.User.String() + "/sendMessage"
		out = append(out, hook.String())
	}
	return out
}

// addressed is an address as the library takes it. A plain web address is a
// webhook that gets JSON with title and message.
func addressed(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return address
	}
	q := u.Query()
	q.Set("template", "json")
	if u.Scheme == "http" {
		q.Set("disabletls", "yes")
	}
	u.RawQuery, u.Scheme = q.Encode(), "generic"
	return u.String()
}

// learn has the parts of an address hidden that let somebody in.
func (s Sender) learn(address holdfast.Secret) error {
	u, err := url.Parse(address.Reveal())
	if err != nil || u.Scheme == "" {
		return &holdfast.Problem{
			Class: holdfast.Usage, What: "the address of a notice is no URL",
			Do: "Write one such as slack://..., smtp://..., https://...: docs/notices.md lists them.",
		}
	}
	if s.Learn == nil {
		return nil
	}
	parts := strings.Split(u.Path, "/")
	if u.User != nil {
		password, _ := u.User.Password()
		parts = append(parts, u.User.Username(), password)
	}
	for _, values := range u.Query() {
		parts = append(parts, values...)
	}
	for _, part := range parts {
		s.Learn(holdfast.NewSecret(part))
	}
	return nil
}
