package main

import (
	"fmt"

	goyaml "sigs.k8s.io/yaml/goyaml.v3"
)

// maxExpanded is how many nodes a document may have once every alias is replaced by its anchor.
const maxExpanded = 100_000

// checkAliases refuses a document whose aliases multiply, or that contain themselves, from its
// unexpanded form. What does not parse is left for the reader to report.
func checkAliases(text []byte) error {
	var root goyaml.Node
	if err := goyaml.Unmarshal(text, &root); err != nil {
		return nil
	}
	sizes := expansion{}
	size, err := sizes.of(&root)
	if err != nil {
		return err
	}
	if size > maxExpanded {
		return fmt.Errorf("aliases expand to more than %d nodes", maxExpanded)
	}
	return nil
}

// expansion holds the expanded size of each anchored node, 0 while it is being counted.
type expansion map[*goyaml.Node]int

func (e expansion) of(node *goyaml.Node) (int, error) {
	if node.Kind == goyaml.AliasNode {
		node = node.Alias
	}
	if node.Anchor != "" {
		if size, known := e[node]; known {
			if size == 0 {
				return 0, fmt.Errorf("line %d: anchor %q contains itself", node.Line, node.Anchor)
			}
			return size, nil
		}
		e[node] = 0
	}
	size := 1
	for _, child := range node.Content {
		more, err := e.of(child)
		if err != nil {
			return 0, err
		}
		// Larger sums add nothing and could overflow.
		size = min(size+more, maxExpanded+1)
	}
	if node.Anchor != "" {
		e[node] = size
	}
	return size, nil
}
