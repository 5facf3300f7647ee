package imitation

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// proxy is the bundle's nginx: what a request's Host names decides where it
// goes (the bundle's nginx.conf, routes of the wallet, the name service and the
// two programs).
func proxy(ctx context.Context) error {
	to := func(address string) http.Handler {
		return httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	}
	app, page := to("validator:5003"), to("wallet-web-ui:8080")
	mux := http.NewServeMux()
	for _, host := range []string{"wallet.localhost", "ans.localhost"} {
		mux.Handle(host+"/api/validator/", app)
		mux.Handle(host+"/", page)
	}
	mux.Handle("validator.localhost/metrics", to("validator:10013"))
	mux.Handle("participant.localhost/metrics", to("participant:10013"))
	mux.Handle("json-ledger-api.localhost/", to("participant:7575"))
	return serveHTTP(ctx, ":80", mux)
}

// page is a web UI, as far as anybody who is no browser sees it.
func page(ctx context.Context) error {
	return serveHTTP(ctx, ":8080", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><head><title>Wallet</title></head><body></body></html>\n")
	}))
}

// rest puts the next check off, of a container that has run for a while: each one
// costs Docker far more than this program, and only a container that has just
// started is waited for. What /proc/1 says may be later than the start, never
// before it.
func rest() {
	started, err := os.Stat("/proc/1")
	if err == nil && time.Since(started.ModTime()) > 20*time.Second {
		time.Sleep(8 * time.Second)
	}
}

// healthy does the images' health checks: the gRPC health service of a
// participant, an HTTP page of everything else.
func healthy(target string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if address, ok := strings.CutPrefix(target, "grpc://"); ok {
		conn, err := grpc.NewClient("passthrough:///"+address,
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		defer conn.Close()
		response, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil && response.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			err = fmt.Errorf("%s", response.Status)
		}
		return err
	}
	if address, ok := strings.CutPrefix(target, "tcp://"); ok {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", response.Status)
	}
	return nil
}

// chown is `chown -R user:group path...`.
func chown(args []string) error {
	if len(args) < 3 || args[0] != "-R" {
		return fmt.Errorf("chown takes -R user:group and paths, not %q", args)
	}
	user, group, _ := strings.Cut(args[1], ":")
	uid, err := strconv.Atoi(user)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(group)
	if err != nil {
		return err
	}
	for _, root := range args[2:] {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, uid, gid)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
