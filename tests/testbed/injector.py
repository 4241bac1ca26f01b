"""A real mutating webhook, as meshes and DNS caches install one: it adds a field to Deployments."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.testbed.cluster import ControlPlane

NAME = "dns-tuner"


class _Handler(BaseHTTPRequestHandler):
    """Answers AdmissionReviews; a Deployment that has the field is left as it is."""

    value: Mapping[str, Any] = {}

    def do_POST(self) -> None:
        """One AdmissionReview."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if "dnsConfig" not in request["object"]["spec"]["template"]["spec"]:
            path = "/spec/template/spec/dnsConfig"
            patch = json.dumps([{"op": "add", "path": path, "value": self.value}])
            response |= {
                "patchType": "JSONPatch",
                "patch": base64.b64encode(patch.encode()).decode(),
            }
        body = json.dumps({**review, "request": None, "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def injecting(cluster: ControlPlane, namespace: str, value: Mapping[str, Any]) -> Iterator[None]:
    """While the block runs, Deployments of a namespace get `value` as their Pods' dnsConfig."""
    handler = type("Handler", (_Handler,), {"value": value})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates = cluster.folder / "certs"
    # The API server's own certificate, which is for 127.0.0.1 too, saves making one.
    context.load_cert_chain(certificates / "apiserver.crt", certificates / "apiserver.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    authority = base64.b64encode((certificates / "apiserver.crt").read_bytes()).decode()
    document = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [
            {
                "name": f"{NAME}.example.com",
                "clientConfig": {
                    "url": f"https://127.0.0.1:{server.server_port}/",
                    "caBundle": authority,
                },
                "rules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["deployments"],
                    }
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 10,
            }
        ],
    }
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    try:
        cluster.call("POST", path, document)
        yield
    finally:
        # Soon after, the API server calls it no longer.
        cluster.request("DELETE", f"{path}/{NAME}")
        server.shutdown()
        server.server_close()
        thread.join()
