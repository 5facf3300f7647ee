package web

import (
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"holdfast"
	"holdfast/size"
)

//go:embed templates
var templates embed.FS

// parseScreens reads each screen together with the frame around all of them.
func parseScreens() (map[string]*template.Template, error) {
	base, err := template.New("base").Funcs(words).ParseFS(templates, "templates/base.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		return nil, err
	}
	out := map[string]*template.Template{}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
		if name == "base" || name == "parts" {
			continue
		}
		screen, err := base.Clone()
		if err == nil {
			_, err = screen.ParseFS(templates, file)
		}
		if err != nil {
			return nil, err
		}
		out[name] = screen
	}
	return out, nil
}

// words are what templates say things with.
var words = template.FuncMap{
	"asset": assetPath,
	"size":  size.Of,
	"span":  span,
	"since": func(now, at time.Time) string { return span(now.Sub(at)) },
	"until": func(now, at time.Time) string { return span(at.Sub(now)) },
	"when":  func(at time.Time) string { return at.UTC().Format("2 Jan 2006, 15:04 UTC") },
	"clock": func(at time.Time) string { return at.UTC().Format("15:04") },
	"exact": func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05Z") },
	"iso":   func(at time.Time) string { return at.UTC().Format(time.RFC3339) },
	"date":  func(at time.Time) string { return at.UTC().Format(time.DateOnly) },
	"day":   func(at time.Time) string { return at.UTC().Format("Mon 2 Jan") },
	"month": func(at time.Time) string { return at.UTC().Format("Jan 2006") },
	"prose": prose,
	"short": short,
	"mark":  mark,
	"count": count,
	"title": func(text string) string { return strings.ToUpper(text[:min(1, len(text))]) + text[min(1, len(text)):] },
	"words": func(code any) string { return strings.ReplaceAll(fmt.Sprint(code), "_", " ") },
	"money": func(amount *float64) string { return fmt.Sprintf("%.2f", *amount) },
	"signed": func(n int64) string {
		if n < 0 {
			return "−" + size.Of(-n)
		}
		return "+" + size.Of(n)
	},
	"offset": func(m holdfast.Moment) string { return fmt.Sprintf("+%.3f s", m.Since.Seconds()) },
	"number": number,
}

// mark is the class of a verdict or of a state.
func mark(word any) string {
	switch text := fmt.Sprint(word); text {
	case string(holdfast.Holds), string(holdfast.Proven):
		return "holds"
	case string(holdfast.Violated), string(holdfast.Misordered), string(holdfast.Mismatched):
		return "violated"
	case string(holdfast.NoneApplies):
		return "none"
	}
	return "unknown"
}

// span is a time for people: the two largest units.
func span(d time.Duration) string {
	d = max(d, 0)
	switch days := int(d.Hours()) / 24; {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return pair(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	case days < 14:
		return pair(days, "days", int(d.Hours())%24, "h")
	default:
		return fmt.Sprintf("%d days", days)
	}
}

func pair(n int, unit string, m int, smaller string) string {
	if m == 0 {
		return fmt.Sprintf("%d %s", n, unit)
	}
	return fmt.Sprintf("%d %s %d %s", n, unit, m, smaller)
}

// number has its thousands apart.
func number(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

var (
	fingerprint = regexp.MustCompile(`(1220[0-9a-f]{8})[0-9a-f]{56}`)
	quoted      = regexp.MustCompile("`([^`]*)`")
)

// short cuts Canton's fingerprints as the commands do.
func short(text string) string { return fingerprint.ReplaceAllString(text, "$1…") }

// prose is a text for people in which commands stand between backticks.
func prose(text string) template.HTML {
	safe := template.HTMLEscapeString(short(text))
	return template.HTML(quoted.ReplaceAllString(safe, "<code>$1</code>")) //nolint:gosec // escaped above
}

func encode(text []byte) string { return base64.RawURLEncoding.EncodeToString(text) }

func decode(text string) []byte {
	out, _ := base64.RawURLEncoding.DecodeString(text)
	return out
}
