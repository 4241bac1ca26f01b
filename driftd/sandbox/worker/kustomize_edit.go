package main

import (
	"encoding/json"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/kustomize/v5/commands/edit"
	"sigs.k8s.io/yaml"
)

// editKustomization applies the fields of source.kustomize in Argo CD's order: `kustomize
// edit` for each, then the patches, then the components.
func editKustomization(
	source *kustomizeSource, environment buildEnvironment, files *treeFS, name string, result *rendering,
) error {
	for _, command := range editCommands(source, environment) {
		if err := kustomizeEdit(files, name, command); err != nil {
			return err
		}
	}
	if len(source.Patches) > 0 {
		if err := addPatches(files, name, source.Patches); err != nil {
			return err
		}
	}
	components := source.Components
	for _, component := range components {
		if isRemote(component) {
			return fail(codeRemote, "", "source.kustomize.components: remote component %s is not fetched", component)
		}
	}
	if source.IgnoreMissingComponents {
		components = slices.DeleteFunc(slices.Clone(components), func(component string) bool {
			absent := !files.Exists(component)
			if absent {
				result.warn("source.kustomize.components: %s does not exist and is left out", component)
			}
			return absent
		})
	}
	if len(components) == 0 {
		return nil
	}
	return kustomizeEdit(files, name, append([]string{"add", "component"}, components...))
}

func editCommands(source *kustomizeSource, environment buildEnvironment) [][]string {
	var commands [][]string
	if source.NamePrefix != "" {
		commands = append(commands, []string{"set", "nameprefix", "--", source.NamePrefix})
	}
	if source.NameSuffix != "" {
		commands = append(commands, []string{"set", "namesuffix", "--", source.NameSuffix})
	}
	if len(source.Images) > 0 {
		command := []string{"set", "image", "--"}
		for _, image := range source.Images {
			command = append(command, environment.substitute(image))
		}
		commands = append(commands, command)
	}
	if len(source.Replicas) > 0 {
		command := []string{"set", "replicas", "--"}
		for _, replica := range source.Replicas {
			command = append(command, replica.Name+"="+textOrNumber(replica.Count))
		}
		commands = append(commands, command)
	}
	if len(source.CommonLabels) > 0 {
		command := []string{"add", "label"}
		if source.ForceCommonLabels {
			command = append(command, "--force")
		}
		if source.LabelWithoutSelector {
			command = append(command, "--without-selector")
		}
		if source.LabelIncludeTemplates {
			command = append(command, "--include-templates")
		}
		command = append(command, "--")
		commands = append(commands, append(command, pairs(source.CommonLabels, environment.substitute)...))
	}
	if len(source.CommonAnnotations) > 0 {
		command := []string{"add", "annotation"}
		if source.ForceCommonAnnotations {
			command = append(command, "--force")
		}
		change := func(value string) string { return value }
		if source.CommonAnnotationsEnvsubst {
			change = environment.substitute
		}
		command = append(command, "--")
		commands = append(commands, append(command, pairs(source.CommonAnnotations, change)...))
	}
	if source.Namespace != "" {
		commands = append(commands, []string{"set", "namespace", "--", source.Namespace})
	}
	return commands
}

// textOrNumber reads a count that may be written as a number or as text.
func textOrNumber(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// pairs writes a map as the arguments key:value.
func pairs(values map[string]string, change func(string) string) []string {
	arguments := make([]string, 0, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		arguments = append(arguments, key+":"+change(values[key]))
	}
	return arguments
}

// compact writes the kustomization as one line of JSON: `kustomize edit` spends most of its
// time on matching comments to fields, line by line. What does not read is left as it is.
func compact(files *treeFS, name string) {
	data, err := files.ReadFile(name)
	if err != nil {
		return
	}
	if raw, err := yaml.YAMLToJSONStrict(data); err == nil {
		_ = files.WriteFile(name, raw)
	}
}

func kustomizeEdit(files *treeFS, name string, arguments []string) error {
	compact(files, name)
	dependencies := provider.NewDepProvider()
	command := edit.NewCmdEdit(
		files, dependencies.GetFieldValidator(), dependencies.GetResourceFactory(), io.Discard)
	command.SetArgs(arguments)
	command.SetOut(io.Discard)
	command.SetErr(io.Discard)
	command.SilenceUsage, command.SilenceErrors = true, true
	if err := command.Execute(); err != nil {
		what := strings.Join(arguments[:2], " ")
		return fail(codeKustomize, path.Join(files.cwd, name), "source.kustomize: kustomize edit %s: %s", what, err)
	}
	return nil
}

// addPatches appends to the patches of the kustomization, as Argo CD does by rewriting it.
func addPatches(files *treeFS, name string, patches []kustomizePatch) error {
	file := path.Join(files.cwd, name)
	data, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	kustomization := map[string]any{}
	if err := yaml.Unmarshal(data, &kustomization); err != nil {
		return fail(codeKustomize, file, "%s: %s", file, err)
	}
	existing, ok := kustomization["patches"].([]any)
	if !ok && kustomization["patches"] != nil {
		return fail(codeKustomize, file, "%s: patches is no list", file)
	}
	for _, patch := range patches {
		existing = append(existing, patch)
	}
	kustomization["patches"] = existing
	if data, err = yaml.Marshal(kustomization); err != nil {
		return err
	}
	return files.WriteFile(name, data)
}
