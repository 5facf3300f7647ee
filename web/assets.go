package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

// assetPath is where an asset is served: under a name that changes with it, so
// that a browser may keep it for ever.
func assetPath(name string) (string, error) {
	text, err := assetFiles.ReadFile("assets/" + name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return "/assets/" + hex.EncodeToString(sum[:6]) + "/" + name, nil
}

// assets serves the style, the scripts and their licences.
func assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := path.Base(r.URL.Path)
		at, err := assetPath(name)
		if err != nil || at != r.URL.Path && name != "LICENSES.txt" {
			http.NotFound(w, r)
			return
		}
		text, _ := assetFiles.ReadFile("assets/" + name)
		types := map[string]string{
			".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain",
		}
		kind := types[path.Ext(name)]
		if !strings.HasPrefix(kind, "image/") {
			kind += "; charset=utf-8"
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write(text)
	})
}
