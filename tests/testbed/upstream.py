"""Applications rendered by the programs that Argo CD starts: helm, kustomize, jsonnet.

Nothing of driftd is used. Commands, their arguments and their order follow Argo CD's repository
server; what it does itself (choosing files, environment variables, patches written into a
kustomization, lists taken apart) is done here once more, in few words.
"""

from __future__ import annotations

import base64
import glob
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.testbed import binaries

HOST = "https://git.example.com/"
ARGO_CD = "argocd"
REVISION = "0123456789abcdef0123456789abcdef01234567"
KUSTOMIZATIONS = ("Kustomization", "kustomization.yaml", "kustomization.yml")


class UpstreamFailed(Exception):
    """A program refused; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text that holds manifests: a stream of YAML, one JSON object, or what Jsonnet printed."""

    data: bytes
    kind: str = "yaml"
    optional: bool = False
    """A YAML file that may be something else than manifests."""


@dataclass(frozen=True)
class Case:
    """One folder of the corpus: `case.yaml` and one folder for each repository."""

    folder: Path

    @cached_property
    def spec(self) -> dict[str, Any]:
        """What `case.yaml` says."""
        loaded: dict[str, Any] = yaml.safe_load((self.folder / "case.yaml").read_text())
        return loaded

    @cached_property
    def application(self) -> dict[str, Any]:
        """The Application as a document."""
        sources = [
            {"repoURL": f"{HOST}tree.git", **source}
            for source in self.spec.get("sources") or [self.spec["source"]]
        ]
        several = "sources" in self.spec
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {
                "name": self.spec.get("name", "shop"),
                "namespace": self.spec.get("ownNamespace", ARGO_CD),
                "annotations": self.spec.get("annotations", {}),
            },
            "spec": {
                "project": "team",
                "destination": {
                    "server": "https://one.example.com",
                    "namespace": self.spec.get("namespace", "shop-prod"),
                },
                **({"sources": sources} if several else {"source": sources[0]}),
            },
        }

    @property
    def instance_name(self) -> str:
        """What Argo CD calls the Application among all."""
        metadata = self.application["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        return name if namespace == ARGO_CD else f"{namespace}_{name}"

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The sources of the Application."""
        spec = self.application["spec"]
        found: list[dict[str, Any]] = spec.get("sources") or [spec["source"]]
        return found

    @property
    def kube_version(self) -> str:
        """The destination's version."""
        return str(self.spec.get("kubeVersion", "1.36.0"))

    @property
    def api_versions(self) -> tuple[str, ...]:
        """What the destination serves, in the form of Helm."""
        return tuple(self.spec.get("apiVersions", ()))

    def unpack(self, place: Path) -> None:
        """Put the repositories into a folder, with the archives that the case asks for."""
        shutil.copytree(self.folder, place, symlinks=True)
        for archive, folder in self.spec.get("pack", {}).items():
            (place / archive).parent.mkdir(parents=True, exist_ok=True)
            with tarfile.open(place / archive, "w:gz") as packed:
                packed.add(place / folder, arcname=Path(folder).name)
            shutil.rmtree(place / folder)


def repository(source: Mapping[str, Any]) -> str:
    """The folder of a case that a source's repoURL stands for."""
    return str(source["repoURL"]).removeprefix(HOST).removesuffix(".git")


@dataclass
class Upstream:
    """Renders cases, each in a folder of its own below `place`."""

    place: Path
    helm: Path = field(default_factory=binaries.helm)
    kustomize: Path = field(default_factory=binaries.kustomize)
    jsonnet: Path = field(default_factory=binaries.jsonnet)

    def render(self, case: Case) -> list[Text]:
        """The manifests of all sources. Raises `UpstreamFailed`."""
        place = self.place / case.folder.name
        texts: list[Text] = []
        for number, source in enumerate(case.sources):
            if source.get("ref") and not source.get("path"):
                continue
            # Each source is rendered in a checkout of its own: kustomize edit writes.
            root = place / str(number)
            case.unpack(root)
            texts += _Source(self, case, root, dict(source)).render()
        return texts

    def run(self, command: Sequence[str | Path], where: Path, **environment: str) -> bytes:
        """What a program prints. Raises `UpstreamFailed`."""
        home = {"HOME": str(self.place), "PATH": "", "HELM_CACHE_HOME": str(self.place / ".helm")}
        done = subprocess.run(
            [str(part) for part in command], cwd=where, env={**home, **environment},
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise UpstreamFailed(done.stderr.decode(errors="replace"))
        return done.stdout


class _Source:
    """One source of a case in a checkout."""

    def __init__(self, upstream: Upstream, case: Case, root: Path, source: dict[str, Any]) -> None:
        self._upstream = upstream
        self._case = case
        self._root = root
        self._repository = root / repository(source)
        self._path = Path(os.path.normpath(self._repository / source.get("path", ".")))
        self._source = source
        namespace = case.application["spec"]["destination"]["namespace"]
        self._namespace = namespace
        self._environment = {
            "ARGOCD_APP_NAME": case.instance_name,
            "ARGOCD_APP_NAMESPACE": namespace,
            "ARGOCD_APP_PROJECT_NAME": "team",
            "ARGOCD_APP_REVISION": REVISION,
            "ARGOCD_APP_REVISION_SHORT": REVISION[:7],
            "ARGOCD_APP_REVISION_SHORT_8": REVISION[:8],
            "ARGOCD_APP_SOURCE_PATH": source.get("path", ""),
            "ARGOCD_APP_SOURCE_REPO_URL": source["repoURL"],
            "ARGOCD_APP_SOURCE_TARGET_REVISION": source.get("targetRevision", ""),
        }

    def render(self) -> list[Text]:
        self._override()
        blocks = [name for name in ("helm", "kustomize", "directory") if name in self._source]
        if len(blocks) > 1:
            raise UpstreamFailed(f"multiple application sources defined: {','.join(blocks)}")
        tool = blocks[0] if blocks else self._detected()
        return {"helm": self._helm, "kustomize": self._kustomize, "directory": self._directory}[
            tool
        ]()

    def _override(self) -> None:
        """Merge the files of the repository into the source; what they remove, stays."""
        name = self._case.instance_name
        for file in (".argocd-source.yaml", f".argocd-source-{name}.yaml"):
            if (self._path / file).is_file():
                patch = yaml.safe_load((self._path / file).read_text()) or {}
                fixed = {
                    key: self._source[key]
                    for key in ("repoURL", "path", "chart", "targetRevision")
                    if key in self._source
                }
                self._source = {**_merged(self._source, patch), **fixed}

    def _detected(self) -> str:
        found = "directory"
        for file in sorted(self._path.iterdir()):
            if file.name.endswith("Chart.yaml"):
                found = "helm"
            if file.name in KUSTOMIZATIONS:
                found = "kustomize"
        return found

    def _expand(self, text: str) -> str:
        """Go's `os.Expand` with the build environment, `$$` for a dollar."""

        def value(match: re.Match[str]) -> str:
            name = match[1].strip("{}")
            return "$" if name == "$" else self._environment.get(name, "")

        return re.sub(r"\$(\$|\{[^}]*\}|\w+)", value, text)

    # Helm

    def _helm(self) -> list[Text]:
        helm = self._source.get("helm") or {}
        name = self._case.application["metadata"]["name"]
        command: list[str | Path] = [
            self._upstream.helm, "template", ".",
            "--name-template", helm.get("releaseName") or name,
            "--namespace", helm.get("namespace") or self._namespace,
            "--kube-version", _plain(helm.get("kubeVersion") or self._case.kube_version),
        ]  # fmt: skip
        assignments: dict[tuple[str, str], str] = {}
        for parameter in helm.get("parameters", ()):
            flag = "--set-string" if parameter.get("forceString") else "--set"
            assignments[flag, parameter["name"]] = self._expand(parameter.get("value", ""))
        for parameter in helm.get("fileParameters", ()):
            (file,) = self._files(parameter["path"], missing=False)
            assignments["--set-file", parameter["name"]] = str(file)
        for (flag, name), value in assignments.items():
            command += [flag, f"{name}={_escaped(value)}"]
        for written in helm.get("valueFiles", ()):
            missing = helm.get("ignoreMissingValueFiles", False)
            for file in self._files(written, missing=missing):
                command += ["--values", file]
        inline = helm.get("valuesObject")
        text = json.dumps(inline) if inline is not None else helm.get("values", "")
        if text:
            (self._root / "inline.yaml").write_text(text)
            command += ["--values", self._root / "inline.yaml"]
        for version in helm.get("apiVersions") or self._case.api_versions:
            command += ["--api-versions", version]
        for option, flag in (
            ("skipSchemaValidation", "--skip-schema-validation"),
            ("skipTests", "--skip-tests"),
        ):
            command += [flag] if helm.get(option) else []
        command += [] if helm.get("skipCrds") else ["--include-crds"]
        try:
            return [Text(self._upstream.run(command, self._path))]
        except UpstreamFailed as error:
            if "missing in charts" not in str(error):
                raise
        # Only what file:// names is found without a network.
        self._upstream.run([self._upstream.helm, "dependency", "build"], self._path)
        return [Text(self._upstream.run(command, self._path))]

    def _files(self, written: str, *, missing: bool) -> list[Path]:
        """The files that a path of `valueFiles` or `fileParameters` names."""
        base, path = self._path, written
        if written.startswith("$"):
            name, _, rest = written.partition("/")
            for source in self._case.sources:
                if source.get("ref") == name[1:]:
                    base, path = self._root / repository(source), rest
        path = self._expand(path)
        if re.match(r"[a-z][a-z0-9+.-]*://", path):
            raise UpstreamFailed(f"{path} is not fetched here")
        if path.startswith("/"):
            base, path = self._repository, path[1:]
        if glob.has_magic(path):
            found = sorted(base / name for name in glob.glob(path, root_dir=base, recursive=True))
            if not found and not missing:
                raise UpstreamFailed(f"{written} matches no file")
            return found
        file = Path(os.path.normpath(base / path))
        return [] if missing and not file.exists() else [file]

    # Kustomize

    def _kustomize(self) -> list[Text]:
        for arguments in self._edits():
            self._edit(*arguments)
        kustomize = self._source.get("kustomize") or {}
        if kustomize.get("patches"):
            (file,) = (self._path / name for name in KUSTOMIZATIONS if (self._path / name).exists())
            written = yaml.safe_load(file.read_text())
            written["patches"] = [*written.get("patches", ()), *kustomize["patches"]]
            file.write_text(json.dumps(written))
        components = [
            component
            for component in kustomize.get("components", ())
            if not kustomize.get("ignoreMissingComponents") or (self._path / component).exists()
        ]
        if components:
            self._edit("add", "component", *components)
        command = [self._upstream.kustomize, "build", self._path]
        options = self._case.spec.get("buildOptions", "").split()
        command += options
        if "--enable-helm" in options:
            version = kustomize.get("kubeVersion") or self._case.kube_version
            command += ["--helm-command", self._upstream.helm, "--helm-kube-version"]
            command.append(_plain(version))
            for name in kustomize.get("apiVersions") or self._case.api_versions:
                command += ["--helm-api-versions", name]
        return [Text(self._upstream.run(command, self._repository, **self._environment))]

    def _edits(self) -> list[list[str]]:
        """The `kustomize edit` commands, in Argo CD's order."""
        kustomize = self._source.get("kustomize") or {}
        edits = []
        if prefix := kustomize.get("namePrefix"):
            edits.append(["set", "nameprefix", "--", prefix])
        if suffix := kustomize.get("nameSuffix"):
            edits.append(["set", "namesuffix", "--", suffix])
        if images := kustomize.get("images"):
            edits.append(["set", "image", *map(self._expand, images)])
        if replicas := kustomize.get("replicas"):
            edits.append(["set", "replicas", *(f"{r['name']}={int(r['count'])}" for r in replicas)])
        if labels := kustomize.get("commonLabels"):
            flags = {
                "--force": "forceCommonLabels",
                "--without-selector": "labelWithoutSelector",
                "--include-templates": "labelIncludeTemplates",
            }
            edits.append(["add", "label", *(f for f, key in flags.items() if kustomize.get(key))])
            edits[-1] += [f"{name}:{self._expand(value)}" for name, value in labels.items()]
        if annotations := kustomize.get("commonAnnotations"):
            change = self._expand if kustomize.get("commonAnnotationsEnvsubst") else str
            force = ["--force"] if kustomize.get("forceCommonAnnotations") else []
            edits.append(["add", "annotation", *force])
            edits[-1] += [f"{name}:{change(value)}" for name, value in annotations.items()]
        if namespace := kustomize.get("namespace"):
            edits.append(["set", "namespace", "--", namespace])
        return edits

    def _edit(self, *arguments: str) -> None:
        self._upstream.run([self._upstream.kustomize, "edit", *arguments], self._path)

    # Plain manifests and Jsonnet

    def _directory(self) -> list[Text]:
        options = self._source.get("directory") or {}
        texts = []
        for name in sorted(self._listed(options.get("recurse", False)), key=_walked):
            file = self._path / name
            if not options.get("disableExtensionFilter") and not re.search(
                r"\.(yaml|yml|json|jsonnet)$", name
            ):
                continue
            if any(
                pattern and _matches(pattern, name) is not wanted
                for pattern, wanted in (
                    (options.get("exclude"), False),
                    (options.get("include"), True),
                )
            ):
                continue
            data = file.read_bytes()
            if b"+argocd:skip-file-rendering" in data:
                continue
            if name.endswith(".jsonnet"):
                texts.append(Text(self._jsonnet(file, options.get("jsonnet") or {}), "jsonnet"))
            else:
                texts.append(Text(data, "json" if name.endswith(".json") else "yaml", True))
        return texts

    def _listed(self, recurse: bool) -> list[str]:
        found = self._path.rglob("*") if recurse else self._path.iterdir()
        return [str(file.relative_to(self._path)) for file in found if file.is_file()]

    def _jsonnet(self, file: Path, options: Mapping[str, Any]) -> bytes:
        command: list[str | Path] = [self._upstream.jsonnet, "-J", self._path]
        for library in options.get("libs", ()):
            command += ["-J", self._repository / library]
        for field_, kind in (("extVars", "ext"), ("tlas", "tla")):
            for variable in options.get(field_, ()):
                flag = f"--{kind}-{'code' if variable.get('code') else 'str'}"
                command += [flag, f"{variable['name']}={self._expand(variable.get('value', ''))}"]
        return self._upstream.run([*command, file], self._repository)


def _merged(base: Any, patch: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(patch, dict):
        return patch
    changed = {name: _merged(base.get(name), value) for name, value in patch.items()}
    return base | {name: value for name, value in changed.items() if value is not None}


def _plain(version: str) -> str:
    """A Kubernetes version without what a vendor adds."""
    return re.split("[-+]", version.removeprefix("v"))[0]


def _escaped(value: str) -> str:
    if value.startswith("{") and value.endswith("}"):
        return value
    return re.sub(r"(?<!\\),", r"\,", value)


def _walked(name: str) -> list[str]:
    """The order in which Go walks a folder."""
    return name.split("/")


def _matches(pattern: str, name: str) -> bool:
    """A glob whose `*` does not stop at a slash, with `{a,b}`."""
    expression = ""
    for part in re.split(r"(\{[^}]*\}|\*+|\?)", pattern):
        if part.startswith("{") and part.endswith("}"):
            choices = part[1:-1].split(",")
            expression += "(?:" + "|".join(re.escape(c).replace(r"\*", ".*") for c in choices) + ")"
        elif part.startswith("*"):
            expression += ".*"
        else:
            expression += "." if part == "?" else re.escape(part)
    return re.fullmatch(expression, name, re.DOTALL) is not None


def read(texts: Sequence[bytes]) -> list[dict[str, Any]]:
    """How Kubernetes' own libraries read each of some texts."""
    asked = json.dumps([base64.b64encode(text).decode() for text in texts])
    done = subprocess.run(
        [binaries.yaml_reader()], input=asked.encode(), capture_output=True, check=True
    )
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def objects(text: Text, reading: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects of one text as Argo CD takes them in. Raises `UpstreamFailed`."""
    stream: list[Any] = reading["stream"]
    if text.kind == "json" and len(stream) > 1:
        raise UpstreamFailed("found multiple objects; only single objects are allowed in JSON")
    if text.kind == "jsonnet" and stream and isinstance(stream[0], list):
        stream = stream[0]
    wrong = reading["streamError"]
    if not wrong and any(not isinstance(one, dict) or not one.get("kind") for one in stream):
        wrong = "Object 'Kind' is missing"
    if wrong:
        looks = all(word in text.data for word in (b"apiVersion:", b"kind:", b"metadata:"))
        if text.optional and text.kind == "yaml" and not looks:
            return []
        raise UpstreamFailed(wrong)
    found: list[dict[str, Any]] = []
    for one in stream:
        if isinstance(one.get("items"), list):
            found += one["items"]
        elif "items" not in one or one["items"] is not None or {"spec", "status"} & one.keys():
            found.append(one)
    return found
