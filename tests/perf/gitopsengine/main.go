// Command gitopsengine answers, with Argo CD's own diff engine, whether objects differ from Git.
//
// It reads one JSON document from standard input: the cluster's OpenAPI v2 document and pairs of
// a desired and a live object. It prints, for each pair and each of Argo CD's local strategies,
// whether the object is modified. The third strategy, a dry run of server-side apply, is what
// `kubectl diff --server-side` does as well.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/gitops-engine/pkg/diff"
	"github.com/go-logr/logr"
	openapi "github.com/google/gnostic-models/openapiv2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/util/proto"
)

type pair struct {
	Desired map[string]any `json:"desired"`
	Live    map[string]any `json:"live"`
}

type input struct {
	Manager string          `json:"manager"`
	OpenAPI json.RawMessage `json:"openapi"`
	Pairs   []pair          `json:"pairs"`
}

// answer holds, by strategy, `same`, `modified`, or the error that Argo CD would show.
type answer map[string]string

// withoutStatus removes what Argo CD ignores unless it is told otherwise.
type withoutStatus struct{}

func (withoutStatus) Normalize(object *unstructured.Unstructured) error {
	if object != nil {
		unstructured.RemoveNestedField(object.Object, "status")
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	document, err := openapi.ParseDocument(in.OpenAPI)
	if err != nil {
		return fmt.Errorf("OpenAPI document: %w", err)
	}
	models, err := proto.NewOpenAPIData(document)
	if err != nil {
		return fmt.Errorf("OpenAPI models: %w", err)
	}
	parser, err := managedfields.NewGVKParser(models, false)
	if err != nil {
		return fmt.Errorf("OpenAPI types: %w", err)
	}
	answers := make([]answer, 0, len(in.Pairs))
	for _, one := range in.Pairs {
		answers = append(answers, compare(one, in.Manager, parser))
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func compare(one pair, manager string, parser *managedfields.GvkParser) answer {
	common := []diff.Option{
		diff.WithLogr(logr.Discard()),
		diff.WithNormalizer(withoutStatus{}),
		diff.WithGVKParser(parser),
		diff.WithManager(manager),
	}
	strategies := map[string][]diff.Option{
		"threeWay":        nil,
		"structuredMerge": {diff.WithStructuredMergeDiff(true)},
	}
	found := answer{}
	for name, options := range strategies {
		found[name] = verdict(one, append(append([]diff.Option{}, common...), options...))
	}
	return found
}

func verdict(one pair, options []diff.Option) string {
	desired := &unstructured.Unstructured{Object: one.Desired}
	var live *unstructured.Unstructured
	if one.Live != nil {
		live = &unstructured.Unstructured{Object: one.Live}
		// The engine changes what it is given.
		live, desired = live.DeepCopy(), desired.DeepCopy()
	}
	result, err := diff.Diff(desired, live, options...)
	switch {
	case err != nil:
		return err.Error()
	case result.Modified:
		return "modified"
	default:
		return "same"
	}
}
