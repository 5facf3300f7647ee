package secretmanager

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"holdfast"
)

// cluster is how the server of a cluster is reached.
type cluster struct {
	server string
	tls    *tls.Config
	token  holdfast.SecretFunc // nil: TLS shows a certificate
}

// podDirectory is where Kubernetes puts what a pod needs for its own cluster.
const podDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"

// clusterOf finds a cluster as kubectl does: a file that is named, then the pod's
// own, then the user's file.
func clusterOf(o KubernetesOptions) (cluster, error) {
	file := or(o.Kubeconfig, filepath.SplitList(os.Getenv("KUBECONFIG") + string(filepath.ListSeparator))[0])
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if file == "" && host != "" {
		config, err := trusting(filepath.Join(podDirectory, "ca.crt"))
		return cluster{
			server: "https://" + net.JoinHostPort(host, or(port, "443")), tls: config, token: fromFile(podToken),
		}, err
	}
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return cluster{}, err
		}
		file = filepath.Join(home, ".kube", "config")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return cluster{}, err
	}
	var k kubeconfig
	if yaml.Unmarshal(text, &k) != nil {
		return cluster{}, fmt.Errorf("%s is no kubeconfig", file)
	}
	k.dir = filepath.Dir(file)
	found, err := k.cluster(or(o.Context, k.Current))
	if err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return found, err
}

// kubeconfig is a file of kubectl's, as far as it is read.
type kubeconfig struct {
	dir string

	Current  string `yaml:"current-context"`
	Contexts []struct {
		Name    string `yaml:"name"`
		Context struct {
			Cluster string `yaml:"cluster"`
			User    string `yaml:"user"`
		} `yaml:"context"`
	} `yaml:"contexts"`
	Clusters []struct {
		Name    string      `yaml:"name"`
		Cluster kubeCluster `yaml:"cluster"`
	} `yaml:"clusters"`
	Users []struct {
		Name string   `yaml:"name"`
		User kubeUser `yaml:"user"`
	} `yaml:"users"`
}

type kubeCluster struct {
	Server     string `yaml:"server"`
	CA         string `yaml:"certificate-authority"`
	CAText     string `yaml:"certificate-authority-data"`
	ServerName string `yaml:"tls-server-name"`
	Insecure   bool   `yaml:"insecure-skip-tls-verify"`
}

type kubeUser struct {
	Token           string    `yaml:"token"`
	TokenFile       string    `yaml:"tokenFile"`
	Certificate     string    `yaml:"client-certificate"`
	CertificateText string    `yaml:"client-certificate-data"`
	Key             string    `yaml:"client-key"`
	KeyText         string    `yaml:"client-key-data"`
	Exec            *kubeExec `yaml:"exec"`
	Provider        any       `yaml:"auth-provider"`
}

type kubeExec struct {
	Version string   `yaml:"apiVersion"`
	Command string   `yaml:"command"`
	Args    []string `yaml:"args"`
	Env     []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	} `yaml:"env"`
}

// cluster is the cluster of a context, with its user.
func (k kubeconfig) cluster(context string) (cluster, error) {
	for _, c := range k.Contexts {
		if c.Name != context {
			continue
		}
		for _, at := range k.Clusters {
			if at.Name != c.Context.Cluster {
				continue
			}
			for _, u := range k.Users {
				if u.Name == c.Context.User {
					return k.reach(at.Cluster, u.User)
				}
			}
		}
	}
	return cluster{}, fmt.Errorf("it has no context %q with a cluster and a user", context)
}

// reach puts a cluster and a user together. What would lower the guard, or is
// long gone, is refused.
func (k kubeconfig) reach(at kubeCluster, user kubeUser) (cluster, error) {
	out := cluster{server: strings.TrimSuffix(at.Server, "/")}
	switch {
	case at.Insecure:
		return out, errors.New("insecure-skip-tls-verify: anybody could be the cluster")
	case user.Provider != nil:
		return out, errors.New("auth-provider: Kubernetes has no such users any more; use exec")
	}
	authority, err := k.pem(at.CAText, at.CA)
	if err != nil {
		return out, err
	}
	out.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: at.ServerName}
	if len(authority) > 0 {
		out.tls.RootCAs = x509.NewCertPool()
		if !out.tls.RootCAs.AppendCertsFromPEM(authority) {
			return out, errors.New("certificate-authority holds no certificates in PEM")
		}
	}
	certificate, err := k.pem(user.CertificateText, user.Certificate)
	if err != nil {
		return out, err
	}
	key, err := k.pem(user.KeyText, user.Key)
	if err != nil {
		return out, err
	}
	if len(certificate) > 0 {
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return out, errors.New("client-certificate and client-key do not belong together")
		}
		out.tls.Certificates = []tls.Certificate{pair}
	}
	switch {
	case user.TokenFile != "":
		out.token = fromFile(k.path(user.TokenFile))
	case user.Token != "":
		out.token = holdfast.Fixed(holdfast.NewSecret(user.Token))
	case user.Exec != nil:
		out.token = user.Exec.token
	}
	return out, nil
}

// pem is what a kubeconfig holds in base64, or in a file.
func (k kubeconfig) pem(text, file string) ([]byte, error) {
	if text != "" {
		out, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("a certificate or a key in it is no base64")
		}
		return out, nil
	}
	if file == "" {
		return nil, nil
	}
	return os.ReadFile(k.path(file))
}

func (k kubeconfig) path(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(k.dir, file)
}

// execTime is how long a program that prints a token may take.
const execTime = 10 * time.Second

// token runs the program that a kubeconfig names, such as that of a cloud. Of a
// failure it gives the exit status alone.
func (e *kubeExec) token(ctx context.Context) (holdfast.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, execTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, e.Command, e.Args...)
	cmd.Env = os.Environ()
	for _, v := range e.Env {
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
	}
	cmd.Env = append(cmd.Env, fmt.Sprintf(
		`KUBERNETES_EXEC_INFO={"apiVersion":%q,"kind":"ExecCredential","spec":{"interactive":false}}`, e.Version))
	cmd.WaitDelay = time.Second // do not wait for processes that it has started
	text, err := cmd.Output()
	if err != nil {
		return holdfast.Secret{}, fmt.Errorf("%s: %w", e.Command, err)
	}
	var got struct {
		Status struct {
			Token string `json:"token"`
		} `json:"status"`
	}
	if json.Unmarshal(text, &got) != nil || got.Status.Token == "" {
		return holdfast.Secret{}, fmt.Errorf("%s has printed no token", e.Command)
	}
	return holdfast.NewSecret(got.Status.Token), nil
}
