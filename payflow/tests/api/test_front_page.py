"""The page at `/`: what this is, with links that lead somewhere."""

import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import resolve

from shared.testing.api import refused


def get(**headers: str) -> Any:
    client: Any = Client(raise_request_exception=False)
    return client.get("/", **headers)


def links(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]*)"', page)


class TestFrontPage:
    @pytest.mark.parametrize("accept", ["", "*/*", "text/html,application/xhtml+xml,*/*;q=0.8"])
    def test_is_a_page_for_people(self, accept: str) -> None:
        answer = get(HTTP_ACCEPT=accept)
        assert (answer.status_code, answer.headers["Content-Type"]) == (
            200,
            "text/html; charset=utf-8",
        )
        assert "PayFlow" in answer.content.decode()
        assert "Accept" in answer.headers["Vary"]

    def test_links_to_what_is_there_and_to_nothing_outside(self) -> None:
        page = get().content.decode()
        found = [link for link in links(page) if link != "data:,"]
        assert {"/swagger-ui.html", "/admin/", "/api/v1/health/ready"} <= set(found)
        for link in found:
            if link.startswith("/static/"):
                assert finders.find(link.removeprefix("/static/")), link
            else:
                resolve(link)

    def test_has_no_script_and_no_style_in_it(self) -> None:
        page = get().content.decode()
        assert not re.search(r"<script|<style|style=|\bon[a-z]+=|://", page)

    def test_says_whether_money_is_real(self, settings: Any) -> None:
        assert "sandbox" in get().content.decode()
        settings.IS_PRODUCTION = True
        assert "sandbox" not in get().content.decode()

    def test_is_json_for_programs(self) -> None:
        answer = get(HTTP_ACCEPT="application/json")
        told = answer.json()
        assert told["name"] == "PayFlow"
        for address in (value for value in told.values() if value.startswith("/")):
            resolve(address)

    def test_takes_no_other_method(self) -> None:
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            client = Client(enforce_csrf_checks=True)
            refused(client.generic(method, "/"), 405, "method_not_allowed")
