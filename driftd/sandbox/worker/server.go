package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// request is one frame from the daemon.
type request struct {
	ID     int64           `json:"id"`
	Op     string          `json:"op"`
	Params json.RawMessage `json:"params"`
}

type server struct {
	in        *bufio.Reader
	out       io.Writer
	trees     *treeStore
	isolation isolationReport
}

// run answers requests until the daemon closes the pipe. Input is read beside the work, so
// that the worker ends with the daemon even in the middle of an endless template.
func (s *server) run() error {
	frames := make(chan []byte)
	read := func() {
		frame, err := readFrame(s.in)
		if err != nil {
			if errors.Is(err, io.EOF) {
				os.Exit(0)
			}
			os.Exit(1)
		}
		frames <- frame
	}
	go read()
	collector := newCollector()
	for {
		// A reader ends with its frame and so leaves its thread to the work, which would wait for
		// another one to wake.
		select {
		case frame := <-frames:
			go read()
			if err := writeFrame(s.out, s.answer(frame)); err != nil {
				return err
			}
			collector.answered()
		case <-collector.pause.C:
			collector.paused()
		case <-collector.idle.C:
			collector.idled()
		}
	}
}

func readFrame(in io.Reader) ([]byte, error) {
	var header [4]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(header[:])
	if length > maxFrame {
		return nil, fmt.Errorf("frame of %d bytes", length)
	}
	frame := make([]byte, length)
	_, err := io.ReadFull(in, frame)
	return frame, err
}

// maxWrite is the longest frame that is copied to be written at once.
const maxWrite = 64 << 10

func writeFrame(out io.Writer, frame []byte) error {
	header := binary.BigEndian.AppendUint32(nil, uint32(len(frame)))
	if len(frame) <= maxWrite {
		_, err := out.Write(append(header, frame...))
		return err
	}
	if _, err := out.Write(header); err != nil {
		return err
	}
	_, err := out.Write(frame)
	return err
}

func (s *server) answer(frame []byte) []byte {
	var req request
	if err := json.Unmarshal(frame, &req); err != nil {
		return encodeError(0, fail(codeBadRequest, "", "invalid request"))
	}
	result, err := s.dispatch(&req)
	if err != nil {
		return encodeError(req.ID, asWorkError(err, codeInternal, ""))
	}
	var buffer bytes.Buffer
	fmt.Fprintf(&buffer, `{"id":%d,"result":`, req.ID)
	buffer.Write(result)
	buffer.WriteByte('}')
	return buffer.Bytes()
}

func encodeError(id int64, err *workError) []byte {
	frame, _ := json.Marshal(map[string]any{"id": id, "error": err})
	return frame
}

// dispatch runs one operation; a panic in an engine is an error of this request alone.
func (s *server) dispatch(req *request) (result []byte, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fail(codeInternal, "", "%s failed: %v", req.Op, reason)
		}
	}()
	switch req.Op {
	case "hello":
		return json.Marshal(s.hello())
	case "put_tree":
		return s.putTree(req.Params)
	case "parse":
		return s.parse(req.Params)
	case "render":
		return s.render(req.Params)
	case "locate":
		return s.locate(req.Params)
	case "trace-values":
		return s.traceValues(req.Params)
	case "unread-values":
		return s.unreadValues(req.Params)
	case "failing-values":
		return s.failingValues(req.Params)
	case "jq":
		return evaluateJQ(req.Params)
	case "template":
		return executeTemplate(req.Params)
	case "chart-entry":
		return s.chartEntry(req.Params)
	case "select-version":
		return selectVersions(req.Params)
	case "chart-needs":
		return s.chartNeeds(req.Params)
	case "kustomize-charts":
		return s.kustomizeCharts(req.Params)
	case "probe":
		return json.Marshal(probe())
	}
	return nil, fail(codeBadRequest, "", "unknown operation %q", req.Op)
}

type helloResult struct {
	Protocol   int               `json:"protocol"`
	SourceHash string            `json:"sourceHash"`
	Go         string            `json:"go"`
	Libraries  map[string]string `json:"libraries"`
	Isolation  isolationReport   `json:"isolation"`
}

// engines are the libraries whose version decides what a source renders to.
var engines = []string{
	"github.com/fluxcd/pkg/envsubst",
	"github.com/google/go-jsonnet",
	"github.com/itchyny/gojq",
	"helm.sh/helm/v4",
	"sigs.k8s.io/kustomize/api",
	"sigs.k8s.io/kustomize/kustomize/v5",
	"sigs.k8s.io/kustomize/kyaml",
	"sigs.k8s.io/yaml",
}

func (s *server) hello() helloResult {
	libraries := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			for _, engine := range engines {
				if dependency.Path == engine {
					libraries[engine] = dependency.Version
				}
			}
		}
	}
	return helloResult{
		Protocol:   1,
		SourceHash: sourceHash,
		Go:         strings.TrimPrefix(runtime.Version(), "go"),
		Libraries:  libraries,
		Isolation:  s.isolation,
	}
}

// putTree keeps a tree and answers with the ids of all trees held. A large tree comes in several
// requests, each with files of its own; it is there with the last one.
func (s *server) putTree(params json.RawMessage) ([]byte, error) {
	var p struct {
		Tree  string            `json:"tree"`
		Files map[string][]byte `json:"files"`
		Links map[string]string `json:"links"`
		// Remotes are fetched bases: a URL and the directory that stands for it.
		Remotes map[string]string `json:"remotes"`
		// More says that other files of the tree follow.
		More bool `json:"more"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fail(codeBadRequest, "", "invalid tree: %s", err)
	}
	files, err := s.trees.gather(p.Tree, p.Files, p.More)
	if err != nil {
		return nil, err
	}
	if !p.More {
		t, err := newTree(p.Tree, files, p.Links)
		if err != nil {
			return nil, err
		}
		t.remotes = p.Remotes
		s.trees.put(t)
	}
	return json.Marshal(map[string]any{"trees": s.trees.order})
}

func (s *server) parse(params json.RawMessage) ([]byte, error) {
	var p struct {
		Tree  string   `json:"tree"`
		Paths []string `json:"paths"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fail(codeBadRequest, "", "invalid parameters: %s", err)
	}
	t, err := s.trees.get(p.Tree)
	if err != nil {
		return nil, err
	}
	documents, problems, warnings := []document{}, []problem{}, []problem{}
	for _, name := range p.Paths {
		data, err := t.read(name)
		if err != nil {
			problems = append(problems, problem{name, 0, asWorkError(err, codeInvalid, name).Message})
			continue
		}
		found := decodeFile(name, data)
		documents = append(documents, found.documents...)
		problems = append(problems, found.errors...)
		warnings = append(warnings, found.warnings...)
	}
	var buffer bytes.Buffer
	buffer.WriteString(`{"documents":`)
	writeDocuments(&buffer, documents)
	writeField(&buffer, "errors", problems)
	writeField(&buffer, "warnings", warnings)
	buffer.WriteByte('}')
	return buffer.Bytes(), nil
}

// writeDocuments writes objects as they are: encoding them again would double the work.
func writeDocuments(buffer *bytes.Buffer, documents []document) {
	buffer.WriteByte('[')
	for i, doc := range documents {
		if i > 0 {
			buffer.WriteByte(',')
		}
		file, _ := json.Marshal(doc.file)
		fmt.Fprintf(buffer, `{"file":%s,"index":%d,"object":`, file, doc.index)
		buffer.Write(doc.raw)
		buffer.WriteByte('}')
	}
	buffer.WriteByte(']')
}

func writeField(buffer *bytes.Buffer, name string, value any) {
	encoded, _ := json.Marshal(value)
	fmt.Fprintf(buffer, `,%q:%s`, name, encoded)
}
