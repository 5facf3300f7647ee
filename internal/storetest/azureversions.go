package storetest

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/place"
	"holdfast/repository"
)

// AzureVersions is a container that keeps versions, which Azurite does not. It is a
// stand-in of ours that answers as Azure documents it for an account with versions of
// blobs: each write makes a version, named by its time; a deletion makes the newest
// version a previous one, and leaves the name without a current one. It takes any
// credentials.
func AzureVersions(t testing.TB) Store {
	t.Helper()
	server := httptest.NewServer(&azureVersions{blobs: map[string][]azureVersion{}})
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	return Store{
		Kind:   place.Azure,
		Place:  parsed(t, fmt.Sprintf("azblob://%s/sets/holdfast?endpoint=%s&tls=off", account, address)),
		Access: repository.Access{Key: secret(base64.StdEncoding.EncodeToString([]byte(SecretKey)))},
		Server: &Server{Address: address},
	}
}

// azureVersions are the blobs of a container, by their names.
type azureVersions struct {
	mu    sync.Mutex
	blobs map[string][]azureVersion // oldest first
}

// azureVersion is a version of a blob, or says that it was deleted.
type azureVersion struct {
	id      string
	at      time.Time
	text    []byte
	deleted bool
}

const azureTime = "2006-01-02T15:04:05.0000000Z"

func (s *azureVersions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/"+account+"/sets")
	name = strings.TrimPrefix(name, "/")
	w.Header().Set("x-ms-version", r.Header.Get("x-ms-version"))
	switch {
	case name == "" && r.URL.Query().Get("comp") == "list":
		s.list(w, r)
	case r.Method == http.MethodPut:
		s.put(w, r, name)
	case r.Method == http.MethodDelete:
		s.remove(w, name)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		s.get(w, r, name)
	default:
		refuse(w, http.StatusNotImplemented, "NotImplemented")
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("x-ms-error-code", code)
	w.WriteHeader(status)
}

// current is the version that a name has; nil: none.
func (s *azureVersions) current(name string) *azureVersion {
	list := s.blobs[name]
	if len(list) == 0 || list[len(list)-1].deleted {
		return nil
	}
	return &list[len(list)-1]
}

func (s *azureVersions) add(name string, v azureVersion) azureVersion {
	v.at = time.Now().UTC()
	v.id = v.at.Format(azureTime)
	s.blobs[name] = append(s.blobs[name], v)
	return v
}

func (s *azureVersions) put(w http.ResponseWriter, r *http.Request, name string) {
	text, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("x-ms-blob-type") != "BlockBlob" {
		refuse(w, http.StatusBadRequest, "InvalidInput")
		return
	}
	if r.Header.Get("If-None-Match") == "*" && s.current(name) != nil {
		refuse(w, http.StatusConflict, "BlobAlreadyExists")
		return
	}
	v := s.add(name, azureVersion{text: text})
	w.Header().Set("x-ms-version-id", v.id)
	w.Header().Set("Last-Modified", v.at.Format(http.TimeFormat))
	w.WriteHeader(http.StatusCreated)
}

func (s *azureVersions) remove(w http.ResponseWriter, name string) {
	if s.current(name) == nil {
		refuse(w, http.StatusNotFound, "BlobNotFound")
		return
	}
	s.add(name, azureVersion{deleted: true})
	w.WriteHeader(http.StatusAccepted)
}

func (s *azureVersions) get(w http.ResponseWriter, r *http.Request, name string) {
	v := s.current(name)
	if id := r.URL.Query().Get("versionid"); id != "" {
		v = nil
		for i := range s.blobs[name] {
			if b := &s.blobs[name][i]; b.id == id && !b.deleted {
				v = b
			}
		}
	}
	if v == nil {
		refuse(w, http.StatusNotFound, "BlobNotFound")
		return
	}
	if part := r.Header.Get("x-ms-range"); part != "" {
		r.Header.Set("Range", part)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("x-ms-version-id", v.id)
	http.ServeContent(w, r, "", v.at, bytes.NewReader(v.text))
}

// The list of blobs as Azure writes it.
type azureList struct {
	XMLName xml.Name    `xml:"EnumerationResults"`
	Blobs   []azureItem `xml:"Blobs>Blob"`
	Next    string      `xml:"NextMarker"`
}

type azureItem struct {
	Name            string
	VersionID       string          `xml:"VersionId,omitempty"`
	Current         bool            `xml:"IsCurrentVersion,omitempty"`
	Properties      azureProperties `xml:"Properties"`
	HasVersionsOnly bool            `xml:"HasVersionsOnly,omitempty"`
}

type azureProperties struct {
	Modified string `xml:"Last-Modified"`
	Length   int    `xml:"Content-Length"`
}

func (s *azureVersions) list(w http.ResponseWriter, r *http.Request) {
	include := strings.Split(r.URL.Query().Get("include"), ",")
	versions, deleted := slices.Contains(include, "versions"), slices.Contains(include, "deletedwithversions")
	var out azureList
	for _, name := range slices.Sorted(maps.Keys(s.blobs)) {
		if !strings.HasPrefix(name, r.URL.Query().Get("prefix")) {
			continue
		}
		for i, v := range s.blobs[name] {
			last := i == len(s.blobs[name])-1
			if !last && (!versions || v.deleted) || last && v.deleted && !deleted {
				continue
			}
			item := azureItem{Name: name, Properties: azureProperties{v.at.Format(http.TimeFormat), len(v.text)}}
			if versions {
				item.VersionID, item.Current = v.id, last && !v.deleted
			}
			item.HasVersionsOnly = v.deleted
			out.Blobs = append(out.Blobs, item)
		}
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(out)
}
