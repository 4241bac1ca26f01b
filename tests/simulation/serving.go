package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"
)

// readiness says how the clusters and the control endpoint are reached.
type readiness struct {
	Control  string            `json:"control"`
	Token    string            `json:"token"`
	CA       string            `json:"ca"`
	Clusters []clusterLocation `json:"clusters"`
}

type clusterLocation struct {
	Name   string `json:"name"`
	Server string `json:"server"`
}

// connectionKey is the place of a request's connection in its context.
type connectionKey struct{}

// serve opens a port for each cluster and one for the control endpoint.
func (s *simulation) serve() (readiness, error) {
	authority, certificate, err := newCertificate()
	if err != nil {
		return readiness{}, err
	}
	ready := readiness{Token: s.token, CA: authority}
	quiet := log.New(io.Discard, "", 0)
	for _, one := range s.clusters {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return readiness{}, err
		}
		one.server = "https://" + listener.Addr().String()
		ready.Clusters = append(ready.Clusters, clusterLocation{one.name, one.server})
		server := &http.Server{
			Handler:  s.front(one),
			ErrorLog: quiet,
			ConnContext: func(ctx context.Context, connection net.Conn) context.Context {
				return context.WithValue(ctx, connectionKey{}, connection)
			},
			ReadHeaderTimeout: time.Minute,
		}
		secured := tls.NewListener(listener, &tls.Config{
			Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"},
			MinVersion: tls.VersionTLS12,
		})
		go func() { _ = server.Serve(secured) }()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return readiness{}, err
	}
	ready.Control = "http://" + listener.Addr().String()
	control := &http.Server{Handler: s.control(), ReadHeaderTimeout: time.Minute}
	go func() { _ = control.Serve(listener) }()
	return ready, nil
}

// front names the cluster of each request and has the rules break its answer.
func (s *simulation) front(one *cluster) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := newAsked(one, r)
		rule := s.rules.matching(asked)
		out := &breaking{ResponseWriter: w, request: r, rule: rule, asked: asked, log: s.seen}
		s.seen.add(asked)
		if rule != nil && rule.refuse(out, r) {
			return
		}
		request := r.WithContext(context.WithValue(r.Context(), clusterKey{}, one))
		if rule != nil && rule.rewrites() {
			request.Header.Del("Accept-Encoding")
		}
		s.handler.ServeHTTP(out, request)
		out.finish()
	})
}

// newCertificate makes an authority and a certificate of 127.0.0.1; their keys stay in memory.
func newCertificate() (string, tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", tls.Certificate{}, err
	}
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "simulation"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(30 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		return "", tls.Certificate{}, err
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", tls.Certificate{}, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &own.PublicKey, key)
	if err != nil {
		return "", tls.Certificate{}, err
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})
	return string(authority), tls.Certificate{Certificate: [][]byte{leafDER, rootDER}, PrivateKey: own}, nil
}
