package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"holdfast/place"
)

// repositoryVariable names another repository than the file.
const repositoryVariable = prefix + "REPOSITORY_PATH"

// StandsIn is the place of copies that a variable of the environment names as the
// repository; zero without one.
func (c *Config) StandsIn() place.Place { return c.standsIn }

// standIn makes a copy the repository where a variable of the environment names its
// place: with its access, its limits, and the rules that it keeps by. It is a copy
// no more, so nothing is sent from a place to itself, and no rules of another place
// are applied to it. Other variables come on top.
func (c *Config) standIn(environ []string) {
	var at place.Place
	for _, pair := range environ {
		if text, ok := strings.CutPrefix(pair, repositoryVariable+"="); ok && text != "" {
			// What is wrong with it is said where variables are read.
			_ = set(reflect.ValueOf(&at).Elem(), text, c.Dir())
		}
	}
	i := slices.IndexFunc(c.Copies, func(second Copy) bool { return place.Share(second.Place, at) == place.Itself })
	if at.IsZero() || i < 0 {
		return
	}
	second, itself := c.Copies[i], place.Share(at, c.Repository.Place) == place.Itself
	if itself {
		return // the file itself names it twice, which is refused
	}
	c.standsIn = second.Place
	c.Repository.Access, c.Repository.Limits = second.Access, second.Limits
	c.Copies = slices.Delete(c.Copies, i, i+1)
	if place.Share(c.Check.SecondCopy, at) == place.Itself {
		c.Check.SecondCopy = place.Place{}
	}
	moved := map[string]string{"access": "repository.access", "limits": "repository.limits"}
	if second.Keep != (Retention{}) {
		c.Retention = second.Keep
		moved["keep"] = "retention"
	}
	c.moveOrigins(i, moved)
}

// moveOrigins says of what stands for a copy that it is in force for the repository.
func (c *Config) moveOrigins(i int, moved map[string]string) {
	under := func(key, group string) bool { return key == group || strings.HasPrefix(key, group+".") }
	for _, group := range moved {
		c.origins = slices.DeleteFunc(c.origins, func(o Origin) bool { return under(o.Key, group) })
	}
	copied := fmt.Sprintf("copies[%d]", i)
	for from, to := range moved {
		for j, o := range c.origins {
			if group := copied + "." + from; under(o.Key, group) {
				c.origins[j].Key = to + strings.TrimPrefix(o.Key, group)
			}
		}
	}
	c.origins = slices.DeleteFunc(c.origins, func(o Origin) bool { return under(o.Key, copied) })
}
