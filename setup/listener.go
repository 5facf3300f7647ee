package setup

import (
	"context"
	"fmt"
	"sync"
	"time"

	"holdfast"
	"holdfast/config"
	"holdfast/daemon"
	"holdfast/endpoint"
	"holdfast/metrics"
)

// Endpoint is where the services of one process answer requests: health,
// metrics, and their page.
func Endpoint(ctx context.Context, services []*Service, version string) (endpoint.Endpoint, error) {
	pages, err := page(ctx, services, version)
	return endpoint.Endpoint{
		Alive:   func() []string { return each(services, (*Service).stuck) },
		Ready:   func() []string { return each(services, (*Service).unready) },
		Metrics: metrics.Handler(version, func() []metrics.Node { return measured(services) }),
		Page:    pages,
	}, err
}

// HTTP is where the services of one process listen: the address that their
// configurations name. Two that differ are refused.
func HTTP(services []*Service) (config.HTTP, error) {
	var found config.HTTP
	var by string
	for _, s := range services {
		h := s.config().HTTP
		switch {
		case !h.Enabled():
		case by == "":
			found, by = h, s.config().File()
		case h.Listen != found.Listen:
			return found, &holdfast.Problem{
				Class: holdfast.Usage,
				What: fmt.Sprintf("http.listen is %s in %s and %s in %s",
					found.Listen, by, h.Listen, s.config().File()),
				Why: "One process listens at one address, for all of its nodes.",
				Do:  "Remove `http:` from all files but one.",
			}
		}
	}
	return found, nil
}

// each is what is wrong with every service, with its node's name.
func each(services []*Service, wrong func(*Service) string) (list []string) {
	for _, s := range services {
		if text := wrong(s); text != "" {
			list = append(list, string(s.Status().Node)+": "+text)
		}
	}
	return list
}

// stuck is why a service's loop does not go round; "" when it does. A task that
// is running may take long: it bounds itself.
func (s *Service) stuck() string {
	const late = 5 * daemon.Glance
	work := s.Status().Work
	if still := time.Since(work.Looked); work.Running == "" && !work.Looked.IsZero() && still > late {
		return fmt.Sprintf("nothing was decided for %v", still.Round(time.Second))
	}
	return ""
}

// unready is why a service's repository is not known; "" when it is.
func (s *Service) unready() string {
	switch stored := s.Status().Stored; {
	case stored.Failed != nil:
		return "the repository cannot be read: " + s.Options.hide(stored.Failed.Error())
	case stored.At.IsZero():
		return "the repository was not read yet"
	}
	return ""
}

// hide takes out of a text what is secret.
func (o Options) hide(text string) string {
	if o.Secrets == nil {
		return text
	}
	return o.Secrets.Hide(text)
}

// Listen answers requests until the context ends, at the configured address. It
// opens the address before it returns; wait returns when nothing is answered any
// more.
func Listen(ctx context.Context, services []*Service, version string) (wait func() error, err error) {
	at, err := HTTP(services)
	if err != nil || !at.Enabled() {
		return func() error { return nil }, err
	}
	answers, err := Endpoint(ctx, services, version)
	if err != nil {
		return nil, err
	}
	l, err := endpoint.Listen(ctx, at.Listen)
	if err != nil {
		return nil, err
	}
	var boards sync.WaitGroup
	if answers.Page != nil {
		for _, s := range services {
			boards.Go(func() { s.board.run(ctx) })
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- endpoint.Serve(ctx, l, answers.Handler()) }()
	return func() error { defer boards.Wait(); return <-ended }, nil
}
