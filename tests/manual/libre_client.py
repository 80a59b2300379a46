"""The `client` fixture of LibreTranslate's API tests, answered by a service at LIBRE_URL: see libre_tests.ts."""

import http.client
import json
import os
from urllib.parse import urlencode, urlsplit

import pytest


class Answer:
    """What the tests read of an answer, by the names that Flask's test client has for it."""

    def __init__(self, response):
        self.status_code = response.status
        self.type = response.headers.get_content_type()
        self.data = response.read()

    @property
    def json(self):
        return json.loads(self.data) if self.type == "application/json" else None


class Client:
    """Each request is a connection of its own."""

    def __init__(self, url):
        self.host = urlsplit(url).netloc

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, **body):
        return self.ask("POST", path, **body)

    def ask(self, method, path, data=None, json=None):
        content, headers = encode(data, json)
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, content, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()


def encode(form, value):
    """A body and its headers: a form, JSON, or nothing at all."""
    if form is not None:
        return urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"}
    if value is not None:
        return json.dumps(value), {"Content-Type": "application/json"}
    return None, {}


@pytest.fixture()
def client():
    return Client(os.environ["LIBRE_URL"])
