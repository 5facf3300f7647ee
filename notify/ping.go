package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"holdfast"
)

// Signal is what a ping says.
type Signal string

// The signals, as they end the address.
const (
	Start   Signal = "/start"
	Success Signal = ""
	Fail    Signal = "/fail"
)

// Heartbeat pings an address, so that silence is noticed from outside.
type Heartbeat struct {
	Address holdfast.SecretFunc
	Hide    func(string) string
	Client  *http.Client // http.DefaultClient when nil
}

// pingTime bounds a ping: what it speaks of must not wait for it.
const pingTime = 10 * time.Second

// Ping sends a signal, with a text that the other side may show.
func (h Heartbeat) Ping(ctx context.Context, s Signal, text string) error {
	address, err := h.Address(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	u, err := url.Parse(address.Reveal())
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return &holdfast.Problem{
			Class: holdfast.Usage, What: "notices.heartbeat is no web address",
			Do: "Write the address of the check, such as https://hc-ping.com/...",
		}
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + string(s)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(h.hide(text)))
	if err != nil {
		return errors.New("the address of the heartbeat cannot be used")
	}
	client := h.Client
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(r)
	if wrapped := new(url.Error); errors.As(err, &wrapped) { // it repeats the address
		err = wrapped.Err
	}
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the heartbeat's address answers %s", answer.Status)
	}
	return nil
}

func (h Heartbeat) hide(text string) string {
	if h.Hide == nil {
		return text
	}
	return h.Hide(text)
}
