package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Codes of the errors that this worker answers with; the daemon shows them as reasons.
const (
	codeBadRequest        = "bad-request"
	codeDependencyMissing = "dependency-missing"
	codeHelm              = "helm-error"
	codeInternal          = "internal"
	codeInvalid           = "invalid-manifest"
	codeInvalidSource     = "invalid-source"
	codeJsonnet           = "jsonnet-error"
	codeKustomize         = "kustomize-error"
	codeLimit             = "limit"
	codePathMissing       = "path-missing"
	codeRemote            = "remote-resource"
	codeSymlink           = "symlink"
	codeTemplate          = "template-error"
	codeTreeMissing       = "tree-missing"
	codeUnsupported       = "unsupported"
)

// workError is an error that the daemon may show: it names a file, never carries a document.
type workError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	File    string `json:"file"`
}

func (e *workError) Error() string { return e.Message }

func fail(code, file, format string, args ...any) *workError {
	return &workError{Code: code, File: file, Message: shorten(fmt.Sprintf(format, args...))}
}

// asWorkError keeps a workError found anywhere in the chain and wraps anything else.
func asWorkError(err error, code, file string) *workError {
	var known *workError
	if errors.As(err, &known) {
		return known
	}
	return fail(code, file, "%s", err)
}

const (
	headLength = 220
	tailLength = 180
)

// shorten keeps the two ends of a message: what was done first stands at its start, and the
// cause at its end. It also removes the mount point of the in-memory tree.
func shorten(message string) string {
	message = strings.ReplaceAll(message, mountPoint+"/", "")
	message = strings.ToValidUTF8(strings.TrimSpace(message), "\uFFFD")
	if len(message) <= headLength+tailLength {
		return message
	}
	head, tail := message[:headLength], message[len(message)-tailLength:]
	for len(head) > 0 && !utf8.ValidString(head) {
		head = head[:len(head)-1]
	}
	for len(tail) > 0 && !utf8.ValidString(tail) {
		tail = tail[1:]
	}
	return head + " … " + tail
}
