package setup

import (
	"context"
	"holdfast"
	"holdfast/node/compose"
	"strings"
)

// View is what Holdfast believes about a node.
type View struct {
	Name       holdfast.NodeName    `json:"name"`
	Databases  []DatabaseView       `json:"databases"`
	Deployment *holdfast.Deployment `json:"deployment,omitempty"` // of a compose node
	App        string               `json:"validator_app,omitempty"`
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
func (p Parts) View(ctx context.Context) (View, *compose.Node, error) {
	view := View{Name: holdfast.NodeName(p.Config.Node), Databases: []DatabaseView{}}
	n, err := p.Given()
	if err != nil {
		return view, nil, err
	}
	var of *compose.Node
	if p.Compose != nil {
		if of, err = p.ComposeNode(ctx); err != nil {
			return view, nil, err
		}
		addAddresses(n, of)
		d, err := of.Deployment(ctx)
		if err != nil {
			return view, nil, err
		}
		view.Deployment = &d
	}
	if p.Identities != nil {
		view.App = p.Identities.URL
	}
	for _, c := range n.Components {
		t := n.Addresses[c.Name]
		v := DatabaseView{Component: c.Name, Kind: c.Kind, Where: t.Where()}
		outlook, err := p.Dumper(t).Look(ctx, c)
		if err != nil {
			v.Problem = err.Error()
		} else {
			v.Found, v.Postgres, v.Bytes = outlook.Found, strings.Fields(outlook.Postgres)[0], outlook.Bytes
		}
		if of != nil && t.Dial != nil {
			v.By = string(of.PostgresWay())
		}
		view.Databases = append(view.Databases, v)
	}
	return view, of, nil
}
