package main

import (
	"fmt"
	"net/url"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// dataDirVariable names the folder that etcd keeps its data in.
const dataDirVariable = "CONTROLPLANE_ETCD_DIR"

// runAPIServer starts etcd on a unix socket of its own and the API server on top of it.
//
// Durability is switched off (no fsync): a test's cluster does not outlive its process.
func runAPIServer() int {
	dir := os.Getenv(dataDirVariable)
	if dir == "" {
		fmt.Fprintf(os.Stderr, "set %s to an empty folder for etcd\n", dataDirVariable)
		return 64
	}
	endpoint, stop, err := startEtcd(dir)
	if err != nil {
		fmt.Fprintf(os.Stderr, "etcd: %v\n", err)
		return 1
	}
	defer stop()
	command := app.NewAPIServerCommand()
	command.SetArgs(append(os.Args[1:], "--etcd-servers="+endpoint))
	return cli.Run(command)
}

func startEtcd(dir string) (string, func(), error) {
	cfg := embed.NewConfig()
	cfg.Dir = dir
	cfg.LogLevel = "error"
	cfg.UnsafeNoFsync = true
	cfg.QuotaBackendBytes = 4 << 30
	// etcd wants a host and a port in every URL; a unix socket of that name lands in the
	// working directory, so no TCP port can collide between control planes.
	if err := os.Chdir(dir); err != nil {
		return "", nil, err
	}
	client := url.URL{Scheme: "unix", Host: "localhost:2379"}
	peer := url.URL{Scheme: "unix", Host: "localhost:2380"}
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
