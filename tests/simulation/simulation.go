package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// deployer is the field manager that has applied the generated objects.
const deployer = "argocd-controller"

// controller is the one that reports their status.
const controller = "kube-controller-manager"

// givenTemplates are manifests with placeholders for what differs between objects.
type givenTemplates struct {
	Namespace map[string]any   `json:"namespace"`
	Objects   []map[string]any `json:"objects"`
}

func readTemplates(folder string) (givenTemplates, error) {
	var found givenTemplates
	text, err := os.ReadFile(folder + "/templates.json")
	if err != nil {
		return found, err
	}
	return found, json.Unmarshal(text, &found)
}

// simulation is the whole program: one API server, the clusters behind it, and the rules.
type simulation struct {
	options  options
	token    string
	handler  http.Handler
	clusters []*cluster
	rules    *rules
	seen     *requestLog
}

func newSimulation(chosen options) (*simulation, error) {
	bookmarkEvery = chosen.bookmarks
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	made := &simulation{
		options: chosen, token: hex.EncodeToString(random), rules: newRules(), seen: &requestLog{},
	}
	handler, err := newHandler(made, made.token)
	made.handler = handler
	return made, err
}

// call makes one request to a cluster within this process.
func (s *simulation) call(
	to *cluster, method, path, contentType string, body []byte,
) (int, []byte) {
	context := context.WithValue(context.Background(), clusterKey{}, to)
	request := httptest.NewRequestWithContext(context, method, path, bytes.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", "application/json")
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, request)
	return answer.Code, answer.Body.Bytes()
}

// must is call for what cannot be refused.
func (s *simulation) must(to *cluster, method, path, contentType string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	code, answer := s.call(to, method, path, contentType, text)
	if code >= 300 {
		return nil, fmt.Errorf("%s %s: %d %s", method, path, code, answer)
	}
	return answer, nil
}

const (
	applyPatch = "application/apply-patch+yaml"
	mergePatch = "application/merge-patch+json"
)

// generate makes the clusters. Templates are applied to a cluster of their own first, so that
// defaults and managed fields are those that Kubernetes computes.
func (s *simulation) generate(given givenTemplates) error {
	scratch := newCluster("templates", &generator{}, 1000)
	var namespace *template
	var objects []*template
	if given.Namespace != nil {
		made, err := s.template(scratch, given.Namespace)
		if err != nil {
			return err
		}
		namespace = made
	}
	for _, manifest := range given.Objects {
		made, err := s.template(scratch, manifest)
		if err != nil {
			return err
		}
		objects = append(objects, made)
	}
	for number := range s.options.clusters {
		name := fmt.Sprintf("sim-%02d", number)
		planned := newGenerator(
			s.options.seed, name, s.options.namespaces, s.options.perNamespace, namespace, objects,
		)
		made := newCluster(name, planned, s.options.history)
		for _, namespace := range []string{"default", "kube-node-lease", "kube-public", "kube-system"} {
			body := map[string]any{
				"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace},
			}
			path := "/api/v1/namespaces?fieldManager=kube-apiserver"
			if _, err := s.must(made, "POST", path, "application/json", body); err != nil {
				return err
			}
		}
		s.clusters = append(s.clusters, made)
	}
	return nil
}

// template has one manifest applied and gives what is stored then.
func (s *simulation) template(scratch *cluster, manifest map[string]any) (*template, error) {
	object := unstructured.Unstructured{Object: manifest}
	plural, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	path := "/apis/" + plural.Group + "/" + plural.Version
	if plural.Group == "" {
		path = "/api/" + plural.Version
	}
	if object.GetNamespace() != "" {
		path += "/namespaces/" + object.GetNamespace()
	}
	path += "/" + plural.Resource + "/" + object.GetName()
	query := "?force=true&fieldManager=" + deployer
	answer, err := s.must(scratch, "PATCH", path+query, applyPatch, manifest)
	if err != nil {
		return nil, err
	}
	if object.GetKind() == "Deployment" {
		for _, report := range reported(object) {
			query := "?fieldManager=" + controller
			if answer, err = s.must(scratch, "PATCH", path+report.subresource+query, mergePatch, report.patch); err != nil {
				return nil, err
			}
		}
	}
	var stored metav1.PartialObjectMetadata
	if err := json.Unmarshal(answer, &stored); err != nil {
		return nil, err
	}
	kind := "/" + plural.GroupResource().String()
	key := kind + "/" + strings.TrimPrefix(object.GetNamespace()+"/"+object.GetName(), "/")
	return newTemplate(kind, scratch.read(key, 0).data, string(stored.UID)), nil
}

// report is one write of a controller.
type report struct {
	subresource string
	patch       map[string]any
}

// reported is what the controller manager writes to a Deployment whose Pods run.
func reported(deployment unstructured.Unstructured) []report {
	replicas, _, _ := unstructured.NestedFieldNoCopy(deployment.Object, "spec", "replicas")
	at := "2026-01-01T00:00:00Z"
	condition := func(kind, reason, message string) map[string]any {
		return map[string]any{
			"type": kind, "status": "True", "reason": reason, "message": message,
			"lastUpdateTime": at, "lastTransitionTime": at,
		}
	}
	annotations := map[string]any{"deployment.kubernetes.io/revision": "1"}
	return []report{
		{"", map[string]any{"metadata": map[string]any{"annotations": annotations}}},
		{"/status", map[string]any{"status": map[string]any{
			"observedGeneration": 2, "replicas": replicas, "updatedReplicas": replicas,
			"readyReplicas": replicas, "availableReplicas": replicas,
			"conditions": []any{
				condition("Available", "MinimumReplicasAvailable", "Deployment has minimum availability."),
				condition("Progressing", "NewReplicaSetAvailable", "Report "+tickPlaceholder),
			},
		}}},
	}
}

func (s *simulation) named(name string) (*cluster, error) {
	for _, one := range s.clusters {
		if one.name == name {
			return one, nil
		}
	}
	return nil, fmt.Errorf("no simulated cluster %q", name)
}
