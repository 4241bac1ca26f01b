package main

import "crypto/sha256"

// readings are what was read of kustomizations and of the files that they name, by content: the next
// application on the same base has it, and the next commit that changes other files. What is rendered
// is never kept. They are one project's, as all that a worker holds.
type readings struct {
	// scanned has the parts of a kustomization, by its text.
	scanned map[string]*pathFields
	// plain says of a kustomization, by its text, whether it has nothing but resources; flat are
	// those with files in the place of such bases, by their text and these files.
	plain map[string]bool
	flat  map[string][]byte
	// counted are the files that kustomizations name.
	counted map[[sha256.Size]byte]*countedFile
	bytes   int
}

// entryBytes is about what an entry takes beside its text.
const entryBytes = 1 << 10

// room makes room for one more entry; all is forgotten when there is too much.
func (r *readings) room(size int) {
	if r.bytes += size + entryBytes; r.scanned != nil && r.bytes <= maxKnownBytes {
		return
	}
	*r = readings{
		scanned: map[string]*pathFields{},
		plain:   map[string]bool{},
		flat:    map[string][]byte{},
		counted: map[[sha256.Size]byte]*countedFile{},
		bytes:   size + entryBytes,
	}
}
