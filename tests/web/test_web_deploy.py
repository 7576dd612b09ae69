"""The files in `deploy/` agree with one another and with the server: ports, paths, flags, times and sizes.

Compose and Kubernetes cannot run here. Kubernetes' own schemas check its manifests; `test_web_replicas.py` runs the
proxies.
"""

import re

import click
import pytest
import yaml
from support.replicas import ADDRESS, DEPLOY
from test_web_container import instructions, values

from fmnist.cli.serve import command
from fmnist.web.access import _SHARE_OF_BASE64
from fmnist.web.api import HEALTH, PREFIX, READY
from fmnist.web.settings import Limits

LIMITS = Limits()
PROXIES = {name: (DEPLOY / name).read_text("utf-8") for name in ("nginx.conf", "haproxy.cfg")}
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
ITEMS = yaml.safe_load((DEPLOY / "kubernetes.yaml").read_text("utf-8"))["items"]
DEPLOYMENTS = [item for item in ITEMS if item["kind"] == "Deployment"]


def parsed(options):
    """Return what `fmnist serve` makes of options."""
    with click.Context(command, resilient_parsing=True) as context:  # there is no run here
        assert command.parse_args(context, [*options]) == []
        return context.params


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|h)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "h": 3600}[unit]


def setting(name, word):
    """Return the first value of a word in a proxy's file."""
    return re.search(rf"\b{word} ([^\s;]+)", PROXIES[name])[1]


def test_the_proxies_ask_the_replicas_of_compose():
    services = COMPOSE["services"].values()
    places = {one["networks"]["replicas"]["ipv4_address"] for one in services if "ipv4_address" in str(one)}
    assert len(places) == 2
    (port,) = values("EXPOSE")
    assert parsed([])["port"] == int(port)
    for text in PROXIES.values():
        assert set(ADDRESS.findall(text)) == {f"{place}:{port}" for place in places}
        assert len(ADDRESS.findall(text)) == 4  # for the API and for the page


@pytest.mark.parametrize(("name", "word"), [("nginx.conf", "proxy_read_timeout"), ("haproxy.cfg", "timeout server")])
def test_a_proxy_waits_for_as_long_as_the_server_may_take(name, word):
    assert LIMITS.seconds < seconds(setting(name, word)) < 2 * LIMITS.seconds


def test_a_proxy_lets_the_largest_body_pass_and_asks_for_readiness():
    assert int(setting("nginx.conf", "client_max_body_size").rstrip("m")) >= _SHARE_OF_BASE64 * LIMITS.body_bytes / 1e6
    assert setting("haproxy.cfg", "httpchk GET") == READY
    fall, interval = int(setting("haproxy.cfg", "fall")), seconds(setting("haproxy.cfg", "inter"))
    assert fall * interval < LIMITS.drain_seconds
    assert f"location {PREFIX.split('v1')[0]} " in PROXIES["nginx.conf"]


def test_compose_starts_what_the_server_has():
    replicas = [one for one in COMPOSE["services"].values() if "build" in one]
    for one in replicas:
        params = parsed(one["command"])
        assert params["model"] == "production"
        assert params["origins"] == ("http://localhost:8080",)
        assert seconds(one["stop_grace_period"]) > LIMITS.stop_seconds
        assert one["read_only"] and one["cap_drop"] == ["ALL"]
        assert (DEPLOY / one["build"] / "Dockerfile").is_file()
    assert "HEALTHCHECK" in dict(instructions())  # for `service_healthy`
    conditions = COMPOSE["services"]["proxy"]["depends_on"].values()
    assert [one["condition"] for one in conditions] == ["service_healthy"] * len(replicas)
    for one in COMPOSE["services"].values():
        files = [source for source, *_ in (volume.split(":") for volume in one["volumes"]) if source.endswith(".conf")]
        assert all((DEPLOY / file).is_file() for file in files)


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item['kind']} {item['metadata']['name']}")
def test_kubernetes_schema_knows_every_field(item):
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("item", DEPLOYMENTS, ids=lambda item: item["metadata"]["name"])
def test_kubernetes_asks_and_stops_the_server_as_it_is(item):
    pod = item["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [parsed([])["port"]]
    assert container["readinessProbe"]["httpGet"] == {"path": READY, "port": "http"}
    assert container["livenessProbe"]["httpGet"] == {"path": HEALTH, "port": "http"}
    (_, pause) = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] > int(pause) + LIMITS.stop_seconds
    assert str(pod["securityContext"]["runAsUser"]) == values("USER")[0]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    params = parsed(container["args"])
    assert params["model"] == "production"
    hosts = [rule["host"] for one in ITEMS if one["kind"] == "Ingress" for rule in one["spec"]["rules"]]
    assert params["origins"] == tuple(f"https://{host}" for host in hosts)


def test_kubernetes_sends_the_page_to_one_replica_and_the_api_to_several():
    counts = {item["metadata"]["name"]: item["spec"]["replicas"] for item in DEPLOYMENTS}
    pages = {
        one["metadata"]["name"]: parsed(one["spec"]["template"]["spec"]["containers"][0]["args"]) for one in DEPLOYMENTS
    }
    services = {
        item["metadata"]["name"]: item["spec"]["selector"]["app"] for item in ITEMS if item["kind"] == "Service"
    }
    (ingress,) = (item for item in ITEMS if item["kind"] == "Ingress")
    (rule,) = ingress["spec"]["rules"]
    led = {path["path"]: services[path["backend"]["service"]["name"]] for path in rule["http"]["paths"]}
    assert PREFIX.startswith("/api")
    assert counts[led["/api"]] >= 2
    assert counts[led["/"]] == 1
    assert not pages[led["/"]]["no_page"]
