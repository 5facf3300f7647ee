package web

import "slices"

// Paths are those that the interface serves.
func Paths() []string {
	out := []string{
		"/api/v1/openapi.json", "/api/v1/schema/{file}", "/api/v1/nodes", "/api/v1/nodes/{node}/sets/{set}",
	}
	for _, r := range reports {
		out = append(out, "/api/v1/nodes/{node}"+r.path)
	}
	slices.Sort(out)
	return out
}
