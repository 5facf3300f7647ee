package kube

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// The marks around what stands for a value that is not in the pod's description.
// No text of Kubernetes has them.
const (
	inSecret = "\x00" // around a reference to it
	unseen   = "\x01" // around why it cannot be seen
)

// Environment is what a container is started with, as its description says it.
type Environment struct {
	values map[string]string // with marks
	from   []string          // whose keys are variables as well, unseen
}

// Names lists the variables.
func (e Environment) Names() []string { return slices.Sorted(maps.Keys(e.values)) }

// Lookup returns a value, with marks.
func (e Environment) Lookup(name string) (string, bool) { v, ok := e.values[name]; return v, ok }

// Has reports whether there is such a variable.
func (e Environment) Has(name string) bool { _, ok := e.values[name]; return ok }

// Value is one that is known, or a reference to it, or the reason why it is
// neither.
type Value struct{ Text, Reference, Unseen string }

// Get is the value of a variable.
func (e Environment) Get(name string) Value { return valueOf(e.values[name]) }

// valueOf takes the marks off.
func valueOf(marked string) Value {
	if !strings.ContainsAny(marked, inSecret+unseen) {
		return Value{Text: marked}
	}
	inner := strings.Trim(marked, inSecret+unseen)
	switch {
	case strings.ContainsAny(inner, inSecret+unseen) || len(inner)+2 != len(marked):
		return Value{Unseen: "it is put together of a secret and of text"}
	case strings.HasPrefix(marked, inSecret):
		return Value{Reference: inner}
	}
	return Value{Unseen: inner}
}

// environment is that of a container in a namespace. Texts are what references
// have that were read.
func environment(namespace string, c corev1.Container, texts map[string]string) Environment {
	e := Environment{values: map[string]string{}}
	for _, f := range c.EnvFrom {
		switch {
		case f.SecretRef != nil:
			e.from = append(e.from, "Secret "+f.SecretRef.Name)
		case f.ConfigMapRef != nil:
			e.from = append(e.from, "ConfigMap "+f.ConfigMapRef.Name)
		}
	}
	for _, v := range c.Env {
		text := e.expand(v.Value)
		if v.ValueFrom != nil {
			text = outside(namespace, *v.ValueFrom, texts)
		}
		e.values[v.Name] = text
	}
	return e
}

// outside is a value that is elsewhere than in the description.
func outside(namespace string, from corev1.EnvVarSource, texts map[string]string) string {
	var reference string
	switch {
	case from.SecretKeyRef != nil:
		reference = secretScheme + namespace + "/" + from.SecretKeyRef.Name + "#" + from.SecretKeyRef.Key
	case from.ConfigMapKeyRef != nil:
		reference = mapScheme + namespace + "/" + from.ConfigMapKeyRef.Name + "#" + from.ConfigMapKeyRef.Key
	case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.namespace":
		return namespace
	default:
		return unseen + "only the pod has it" + unseen
	}
	if text, read := texts[reference]; read {
		return text
	}
	return inSecret + reference + inSecret
}

// The schemes of references: a Secret's is that of the configuration.
const (
	secretScheme = "kube:"
	mapScheme    = "configmap:"
)

var expansion = regexp.MustCompile(`\$\$|\$\([A-Za-z_][A-Za-z0-9_.-]*\)`)

// expand replaces $(NAME) by a variable before it, as Kubernetes does.
func (e Environment) expand(text string) string {
	return expansion.ReplaceAllStringFunc(text, func(found string) string {
		if found == "$$" {
			return "$"
		}
		if value, ok := e.values[found[2:len(found)-1]]; ok {
			return value
		}
		return found
	})
}

// unknown says why a variable has no known text; "" if it has, or if there is
// no such variable.
func (e Environment) unknown(name string) string {
	switch v := e.Get(name); {
	case v.Unseen != "":
		return fmt.Sprintf("variable %s: %s", name, v.Unseen)
	case v.Reference != "":
		return fmt.Sprintf("variable %s: it is in %s, which was not read", name, v.Reference)
	}
	return ""
}

// isPassword reports whether the value of a variable is never to be read to find
// a node, and never recorded.
func isPassword(name string) bool {
	name = strings.ToUpper(name)
	return slices.ContainsFunc([]string{
		"PASSWORD", "PASSWD", "SECRET", "TOKEN", "PASSPHRASE", "API_KEY", "APIKEY", "PRIVATE_KEY", "CREDENTIAL",
	}, func(word string) bool { return strings.Contains(name, word) })
}

// wanted are the references in variables that say how the node runs.
func (e Environment) wanted() (out []string) {
	for _, name := range e.Names() {
		v := e.Get(name)
		of := strings.HasPrefix(name, "ADDITIONAL_CONFIG") || strings.HasPrefix(name, "CANTON_PARTICIPANT_") ||
			strings.HasPrefix(name, "SPLICE_APP_VALIDATOR_")
		if v.Reference != "" && of && !isPassword(name) {
			out = append(out, v.Reference)
		}
	}
	return out
}
