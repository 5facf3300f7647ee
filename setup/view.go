package setup

import (
	"context"
	"strings"

	"holdfast"
	"holdfast/backup"
	"holdfast/internal/libpq"
)

// View is what Holdfast believes about a node.
type View struct {
	Name       holdfast.NodeName    `json:"name"`
	Databases  []DatabaseView       `json:"databases"`
	Deployment *holdfast.Deployment `json:"deployment,omitempty"` // of a compose node
	App        string               `json:"validator_app,omitempty"`
	// Lines are how the node runs, for people: what, and what about it.
	Lines [][]string `json:"-"`
}

// DatabaseView is one of the node's databases.
type DatabaseView struct {
	Component holdfast.ComponentName `json:"component"`
	Kind      holdfast.Kind          `json:"kind"`
	Where     string                 `json:"where"`
	Found     string                 `json:"found,omitempty"`
	Problem   string                 `json:"problem,omitempty"` // why it cannot be looked at
	Postgres  string                 `json:"postgres,omitempty"`
	Bytes     int64                  `json:"bytes"`
	By        string                 `json:"by,omitempty"` // how it is reached
}

// View looks at everything; what cannot be reached is part of the picture.
func (p *Parts) View(ctx context.Context) (View, error) {
	view := View{Name: p.Node.Name, Databases: []DatabaseView{}}
	live, err := p.Databases(ctx)
	if err != nil {
		return view, err
	}
	var shown Shown
	if p.kind.Show != nil {
		if shown, err = p.kind.Show(ctx); err != nil {
			return view, err
		}
		view.Deployment, view.Lines = &shown.Deployment, shown.Lines
	}
	if p.Config.Identities != nil {
		view.App = p.Config.Identities.URL
	}
	taken, err := p.sources(ctx, live)
	if err != nil {
		return view, err
	}
	for _, c := range live.Components {
		at := live.Addresses[c.Name]
		v := viewOf(ctx, c, taken.of[c.Name], at)
		if shown.Way != nil && at.Dial != nil {
			v.By = shown.Way()
		}
		view.Databases = append(view.Databases, v)
	}
	return view, nil
}

func viewOf(ctx context.Context, c holdfast.Component, source backup.Source, at libpq.Address) DatabaseView {
	v := DatabaseView{Component: c.Name, Kind: c.Kind, Where: at.Where()}
	if source == nil {
		v.Problem = "it has no database"
		return v
	}
	outlook, err := source.Look(ctx, c)
	if err != nil {
		v.Problem = err.Error()
		return v
	}
	v.Found, v.Postgres, v.Bytes = outlook.Found, strings.Fields(outlook.Postgres)[0], outlook.Bytes
	return v
}
