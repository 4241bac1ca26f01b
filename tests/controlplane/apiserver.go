package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// dataDirVariable names the folder that etcd keeps its data in.
const dataDirVariable = "CONTROLPLANE_ETCD_DIR"

// keyFileVariable names the file that receives the key which signs service account tokens.
const keyFileVariable = "CONTROLPLANE_SERVICE_ACCOUNT_KEY"

// runAPIServer starts etcd on a unix socket of its own and the API server on top of it.
//
// Durability is switched off (no fsync): a test's cluster does not outlive its process.
func runAPIServer() int {
	dir, keyFile := os.Getenv(dataDirVariable), os.Getenv(keyFileVariable)
	if dir == "" || keyFile == "" {
		fmt.Fprintf(os.Stderr, "set %s to an empty folder for etcd and %s to a file name\n",
			dataDirVariable, keyFileVariable)
		return 64
	}
	if err := writeSigningKey(keyFile); err != nil {
		fmt.Fprintf(os.Stderr, "service account key: %v\n", err)
		return 1
	}
	endpoint, stop, err := startEtcd(dir)
	if err != nil {
		fmt.Fprintf(os.Stderr, "etcd: %v\n", err)
		return 1
	}
	defer stop()
	command := app.NewAPIServerCommand()
	command.SetArgs(append(os.Args[1:],
		"--etcd-servers="+endpoint,
		"--service-account-key-file="+keyFile,
		"--service-account-signing-key-file="+keyFile,
	))
	return cli.Run(command)
}

// writeSigningKey makes a fresh key for each cluster; nothing secret lies in the repository.
func writeSigningKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return os.WriteFile(path, block, 0o600)
}

func startEtcd(dir string) (string, func(), error) {
	cfg := embed.NewConfig()
	cfg.Dir = dir
	cfg.LogLevel = "error"
	cfg.UnsafeNoFsync = true
	cfg.QuotaBackendBytes = 4 << 30
	// The one member elects itself after this time; the default costs a second a cluster.
	cfg.TickMs, cfg.ElectionMs = 20, 200
	// A unix socket's whole name is "host:port"; a relative one keeps it below the
	// 108 bytes that the kernel allows, wherever the test's folder is.
	if err := os.Chdir(filepath.Dir(dir)); err != nil {
		return "", nil, err
	}
	client := url.URL{Scheme: "unix", Host: "etcd-client:0"}
	peer := url.URL{Scheme: "unix", Host: "etcd-peer:0"}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return "", nil, err
	}
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		return "", nil, err
	case <-time.After(60 * time.Second):
		server.Close()
		return "", nil, fmt.Errorf("not ready after 60 s")
	}
	return client.String(), server.Close, nil
}
