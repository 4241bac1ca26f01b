package main

import (
	"os"
	"strings"
)

// buildEnvironment is what Argo CD calls the build environment of an application.
type buildEnvironment struct {
	values       map[string]string
	revisionRead *bool
}

func newBuildEnvironment(p *renderParams) buildEnvironment {
	return buildEnvironment{revisionRead: &p.revisionRead, values: map[string]string{
		"ARGOCD_APP_NAME":                   p.instanceName(),
		"ARGOCD_APP_NAMESPACE":              p.Application.DestinationNamespace,
		"ARGOCD_APP_PROJECT_NAME":           p.Application.Project,
		"ARGOCD_APP_REVISION":               p.Revision,
		"ARGOCD_APP_REVISION_SHORT":         p.Revision[:min(7, len(p.Revision))],
		"ARGOCD_APP_REVISION_SHORT_8":       p.Revision[:min(8, len(p.Revision))],
		"ARGOCD_APP_SOURCE_PATH":            p.Source.Path,
		"ARGOCD_APP_SOURCE_REPO_URL":        p.RepoURL,
		"ARGOCD_APP_SOURCE_TARGET_REVISION": p.Source.TargetRevision,
	}}
}

// substitute replaces $NAME and ${NAME}. An unknown name becomes nothing and "$$" becomes
// "$", as in Argo CD.
func (e buildEnvironment) substitute(text string) string {
	return os.Expand(text, func(name string) string {
		if name == "$" {
			return "$"
		}
		if strings.HasPrefix(name, "ARGOCD_APP_REVISION") {
			*e.revisionRead = true
		}
		return e.values[name]
	})
}
