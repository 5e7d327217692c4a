"""A small client of HTTP from Python's library, which adds nothing to what it is told to send."""

import base64
import http.client
import json


class Rest:
    """Asks a server.

    Args:
        address: "127.0.0.1:8501".
    """

    def __init__(self, address: str):
        self.address = address

    def __call__(self, method: str, path: str, body=None, headers=()):
        """Returns status, headers and bytes of the answer."""
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, value=None, headers=()):
        """Returns the status and the JSON of the answer."""
        body = None if value is None else json.dumps(value).encode()
        status, _, answer = self(method, path, body, headers)
        return status, json.loads(answer)

    def predict(self, value, path="/v1/models/blocks:predict"):
        """Asks TensorFlow Serving's `:predict`."""
        return self.json("POST", path, value)


def b64(data: bytes) -> dict:
    """Bytes in TensorFlow Serving's JSON."""
    return {"b64": base64.b64encode(data).decode()}


def unb64(value: dict) -> bytes:
    """What `b64` encoded."""
    return base64.b64decode(value["b64"])
