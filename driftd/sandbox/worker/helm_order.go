package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"

	release "helm.sh/helm/v4/pkg/release/v1"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"sigs.k8s.io/yaml"
)

// manifest is one document of rendered text with the template that it comes from, and what was
// read of it so far.
type manifest struct {
	path, text string
	read       *reading
	kind       string
}

// hookEvents are the values of the annotation that make a hook; one that Helm does not know makes
// it leave the document out.
var hookEvents = map[string]release.HookEvent{"test-success": release.HookTest}

// installRanks are the places of the kinds in Helm's order of installing.
var installRanks = map[string]int{}

func init() {
	for _, event := range []release.HookEvent{
		release.HookPreInstall, release.HookPostInstall, release.HookPreDelete, release.HookPostDelete,
		release.HookPreUpgrade, release.HookPostUpgrade, release.HookPreRollback,
		release.HookPostRollback, release.HookTest,
	} {
		hookEvents[string(event)] = event
	}
	for rank, kind := range releaseutil.InstallOrder {
		installRanks[kind] = rank
	}
}

// orderManifests takes rendered templates apart as Helm's SortManifests does: what is no hook in
// the order of installing, and then the hooks, by kind too. Helm reads every document for its
// head; here the same reading serves as the manifest. `file` names a template's file.
func orderManifests(texts map[string]string, skipTests bool, file func(string) string) ([]manifest, error) {
	var generic, hooks []manifest
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if strings.HasPrefix(path.Base(name), "_") {
			continue
		}
		for _, text := range splitManifests(texts[name]) {
			read := decodeFile(file(name), []byte(text))
			head, err := headOf(text, read)
			if err != nil {
				return nil, fmt.Errorf("YAML parse error on %s: %w", name, err)
			}
			item := manifest{path: name, text: text, read: read, kind: head.Kind}
			wanted, isHook := "", false
			if head.Metadata != nil {
				wanted, isHook = head.Metadata.Annotations[release.HookAnnotation]
			}
			if !isHook {
				generic = append(generic, item)
			} else if known, test := hookOf(wanted); known && !(test && skipTests) {
				hooks = append(hooks, item)
			}
		}
	}
	slices.SortStableFunc(generic, byKind)
	slices.SortStableFunc(hooks, byKind)
	return append(generic, hooks...), nil
}

// splitManifests cuts text at the lines that begin with "---" and leaves out what is blank; what
// follows the dashes in their line belongs to the document.
func splitManifests(text string) []string {
	var parts []string
	add := func(part string) {
		if part = strings.TrimLeftFunc(part, unicode.IsSpace); part != "" {
			parts = append(parts, part)
		}
	}
	text = "\n" + strings.TrimLeftFunc(text, unicode.IsSpace)
	for {
		before, after, found := strings.Cut(text, "\n---")
		if !found {
			add(text)
			return parts
		}
		add(before + "\n")
		text = strings.TrimLeft(after, " \t")
	}
}

// headOf is what Helm looks at in a document. What was read of it says the same as reading it for
// the head alone, unless Helm would make text of other values, or refuse it.
func headOf(text string, read *reading) (head releaseutil.SimpleHead, err error) {
	if len(read.documents) == 1 && len(read.errors) == 0 && !isFlow([]byte(text)) &&
		json.Unmarshal(read.documents[0].raw, &head) == nil {
		return head, nil
	}
	head = releaseutil.SimpleHead{}
	return head, yaml.Unmarshal([]byte(text), &head)
}

// hookOf reads the annotation of a hook: whether Helm knows all its events, and whether one of
// them is a test.
func hookOf(annotation string) (known, test bool) {
	for name := range strings.SplitSeq(annotation, ",") {
		event, isEvent := hookEvents[strings.ToLower(strings.TrimSpace(name))]
		if !isEvent {
			return false, false
		}
		test = test || event == release.HookTest
	}
	return true, test
}

// byKind compares by Helm's order of installing; kinds that it does not name come last, by name.
func byKind(a, b manifest) int {
	first, isKnown := installRanks[a.kind]
	second, isOtherKnown := installRanks[b.kind]
	switch {
	case isKnown && isOtherKnown:
		return first - second
	case isKnown:
		return -1
	case isOtherKnown:
		return 1
	}
	return strings.Compare(a.kind, b.kind)
}
