"""docker-compose.yml is consistent, grants no more rights than needed, and is accepted by the program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from panopticon.settings import PREFIX, Settings, read_settings
from tests.deploy.compose import (
    COMPOSE,
    ENVIRON,
    EXAMPLE,
    FOLDER,
    PASSWORDS,
    ROOT,
    Service,
    UnsetError,
    example,
    filled,
    project,
    raw,
    services,
)
from tests.test_checkout import setup_cfg
from tests.test_docs import parse
from workers.cli.main import cli

OURS = [service for service in services() if service.ours]
WORKERS = [service for service in OURS if service.name != "panopticon"]
SECONDS = {"s": 1, "m": 60}


def each(chosen: list[Service]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", chosen, ids=str)


every_service = each(services())
each_of_ours = each(OURS)
each_worker = each(WORKERS)


def settings_of(service: Service) -> Settings:
    return read_settings(flags={}, environ=service.environment, file=FOLDER / "panopticon.toml")


class TestTheFile:
    def test_docker_compose_accepts_it(self) -> None:
        check = str(Path(sys.executable).with_name("check-jsonschema"))
        command = [check, "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout

    def test_every_name_that_is_used_is_defined(self) -> None:
        spec = project()
        for service in services():
            assert set(service.spec["networks"]) <= set(spec["networks"])
            assert set(service.spec.get("depends_on", {})) <= set(spec["services"])
            named = {source for source, _ in service.mounts if not source.startswith((".", "/"))}
            assert named <= set(spec["volumes"])

    def test_every_name_that_is_defined_is_used(self) -> None:
        spec = project()
        used = {source for service in services() for source, _ in service.mounts}
        assert set(spec["volumes"]) <= used
        assert set(spec["networks"]) == {name for service in services() for name in service.spec["networks"]}

    def test_every_mounted_path_of_the_checkout_exists(self) -> None:
        sources = {source for service in services() for source, _ in service.mounts if source.startswith(".")}
        sources -= {"./photos"}
        assert sources
        assert [source for source in sources if not (ROOT / source).exists()] == []

    def test_a_service_is_waited_for_until_it_is_healthy_or_completed(self) -> None:
        by_name = {service.name: service for service in services()}
        for service in services():
            for name, how in service.spec.get("depends_on", {}).items():
                if how["condition"] == "service_completed_successfully":
                    assert by_name[name].spec["restart"] == "no"
                else:
                    assert (how["condition"], "test" in by_name[name].spec["healthcheck"]) == (
                        "service_healthy",
                        True,
                    )

    def test_workers_wait_for_all_servers(self) -> None:
        for service in OURS:
            assert set(service.spec["depends_on"]) == {"rabbitmq", "cassandra-setup", "opensearch"}


class TestSecrets:
    @pytest.mark.parametrize("name", PASSWORDS)
    def test_a_missing_password_is_refused_with_the_file_in_which_to_set_it(self, name: str) -> None:
        with pytest.raises(UnsetError, match=f"{name}: set it in .env, see deploy/compose/example.env"):
            project({**ENVIRON, name: ""})

    def test_there_is_no_password_in_the_file(self) -> None:
        text = COMPOSE.read_text("utf-8")
        passwords = re.findall(r"(?i)pass\w*: (\S+)|://\w+:([^\n]*?)@", text)
        assert len(passwords) == 5
        assert all("".join(found).startswith("${") for found in passwords)

    def test_the_example_names_every_variable_and_no_other(self) -> None:
        wanted = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text("utf-8")))
        assert set(example()) == wanted
        assert [example()[name] for name in PASSWORDS] == ["", "", ""]

    def test_the_example_with_its_passwords_filled_in_is_enough(self) -> None:
        assert project({**example(), **ENVIRON})["services"]

    def test_git_ignores_the_file_of_passwords(self) -> None:
        ran = subprocess.run(["git", "check-ignore", "-q", ".env"], cwd=ROOT, check=False)
        assert ran.returncode == 0

    def test_the_example_states_which_characters_a_password_may_have(self) -> None:
        assert "only letters and" in EXAMPLE.read_text("utf-8")


class TestEveryService:
    @every_service
    def test_its_image_is_pinned(self, service: Service) -> None:
        assert re.search(r":v?\d+\.\d+\.\d+", service.spec["image"])

    @every_service
    def test_it_has_limits(self, service: Service) -> None:
        assert set(service.spec["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}

    @every_service
    def test_it_is_not_root_and_cannot_become_it(self, service: Service) -> None:
        user, _, group = service.spec["user"].partition(":")
        assert int(user) > 0
        assert int(group) > 0
        assert service.spec["cap_drop"] == ["ALL"]
        assert service.spec["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service.spec

    @every_service
    def test_its_root_file_system_is_read_only_and_the_rest_is_limited_in_size(
        self, service: Service
    ) -> None:
        assert service.spec["read_only"] is True
        assert service.spec["tmpfs"]
        assert all("size=" in place for place in service.spec["tmpfs"])

    @every_service
    def test_it_mounts_paths_of_the_host_read_only(self, service: Service) -> None:
        shown = [volume for volume in service.spec.get("volumes", []) if volume.startswith((".", "/"))]
        assert [volume for volume in shown if not volume.endswith(":ro")] == []

    @every_service
    def test_it_has_a_health_check(self, service: Service) -> None:
        check = service.spec.get("healthcheck", {})
        if check.get("disable"):
            assert service.spec["restart"] == "no", "only what runs once needs none"
        elif not service.ours:
            assert {"test", "interval", "timeout", "retries", "start_period"} <= set(check)

    @every_service
    def test_it_starts_again_and_its_log_does_not_fill_the_disk(self, service: Service) -> None:
        assert service.spec["restart"] in ("unless-stopped", "no")
        assert service.spec["logging"]["options"]["max-size"]

    @every_service
    def test_its_ports_are_for_this_machine_only(self, service: Service) -> None:
        assert all(port.startswith("127.0.0.1:") for port in service.spec.get("ports", []))

    @every_service
    def test_a_service_without_a_password_cannot_be_reached_from_outside(self, service: Service) -> None:
        assert project()["networks"]["inside"]["internal"] is True
        if service.name in ("cassandra", "opensearch", "cassandra-setup"):
            assert service.spec["networks"] == ["inside"]
            assert "ports" not in service.spec


class TestData:
    @pytest.mark.parametrize(
        ("name", "folder"),
        [
            ("rabbitmq", "/var/lib/rabbitmq"),
            ("cassandra", "/var/lib/cassandra"),
            ("opensearch", "/usr/share/opensearch/data"),
            ("prometheus", "/prometheus"),
        ],
    )
    def test_the_data_of_a_server_is_in_a_volume_of_its_own(self, name: str, folder: str) -> None:
        (service,) = [service for service in services() if service.name == name]
        assert (name, folder) in service.mounts
        assert name in project()["volumes"]
        assert [other.name for other in services() if name in dict(other.mounts)] == [name]

    def test_cassandra_keeps_everything_there(self) -> None:
        settings = yaml.safe_load((FOLDER / "cassandra" / "cassandra.yaml").read_text("utf-8"))
        folders = [value for key, value in settings.items() if "director" in key]
        assert len(folders) == 4
        assert all(str(folder).strip("[']").startswith("/var/lib/cassandra/") for folder in folders)

    @each_of_ours
    def test_none_of_our_services_has_a_volume_for_data(self, service: Service) -> None:
        assert set(dict(service.mounts)) == {"./deploy/compose/panopticon.toml", "./photos"}


class TestOurs:
    @each_of_ours
    def test_the_program_accepts_its_command(self, service: Service) -> None:
        assert parse(cli, "panopticon", service.arguments)

    @each_of_ours
    def test_it_reads_the_settings_that_are_mounted(self, service: Service) -> None:
        where = dict(service.mounts)["./deploy/compose/panopticon.toml"]
        assert service.arguments[:2] == ["--config", where]

    @each_of_ours
    def test_the_program_accepts_its_settings(self, service: Service) -> None:
        settings = settings_of(service)
        given = {key.removeprefix(PREFIX).lower() for key in service.environment if key.startswith(PREFIX)}
        assert given <= set(settings.model_fields_set)

    @each_of_ours
    def test_it_reads_only_the_mounted_photos(self, service: Service) -> None:
        (photos,) = [at for source, at in service.mounts if source == "./photos"]
        assert settings_of(service).file_roots == (Path(photos),)
        assert example()["ORIGINALS"].startswith(f"file://{photos}/")

    @each_of_ours
    def test_every_server_in_its_settings_is_another_service(self, service: Service) -> None:
        settings = settings_of(service)
        urls = [settings.broker_url, settings.store_url, settings.search_url]
        urls += parse_qs(urlsplit(settings.broker_url).query)["management"]
        for url in urls:
            (other,) = [each for each in services() if each.name == urlsplit(url).hostname]
            assert set(other.spec["networks"]) & set(service.spec["networks"])

    @each_of_ours
    def test_it_logs_in_to_broker_and_store_as_the_users_that_are_created_there(
        self, service: Service
    ) -> None:
        settings = settings_of(service)
        rabbitmq = project()["services"]["rabbitmq"]["environment"]
        broker, store = urlsplit(settings.broker_url), urlsplit(settings.store_url)
        assert (broker.username, broker.password) == (
            rabbitmq["RABBITMQ_DEFAULT_USER"],
            rabbitmq["RABBITMQ_DEFAULT_PASS"],
        )
        assert broker.path == f"/{rabbitmq['RABBITMQ_DEFAULT_VHOST']}"
        assert (store.username, store.password) == ("panopticon", ENVIRON["CASSANDRA_PASSWORD"])

    @each_worker
    def test_it_has_the_time_to_drain(self, service: Service) -> None:
        number, unit = re.fullmatch(r"(\d+)([sm])", service.spec["stop_grace_period"]).groups()  # type: ignore[union-attr]
        assert int(number) * SECONDS[unit] > settings_of(service).grace_s + 5

    @each_worker
    def test_zombies_of_its_children_are_reaped(self, service: Service) -> None:
        assert service.spec["init"] is True

    @each_worker
    def test_prometheus_scrapes_it(self, service: Service) -> None:
        config = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text("utf-8"))
        (jobs,) = [job for job in config["scrape_configs"] if job["job_name"] == "panopticon"]
        (found,) = jobs["dns_sd_configs"]
        port = service.arguments[service.arguments.index("--metrics-port") + 1]
        assert service.name in found["names"]
        assert found["port"] == int(port)
        assert settings_of(service).metrics_host == "0.0.0.0"

    def test_every_model_of_the_fleet_has_a_worker(self) -> None:
        settings = settings_of(OURS[0])
        run = {service.arguments[-3] for service in WORKERS if "--model" in service.arguments}
        assert run == set(settings.models)

    def test_its_image_has_the_version_of_the_package(self) -> None:
        version = setup_cfg()["metadata"]["version"]
        tags = {service.spec["image"] for service in OURS}
        assert tags == {f"panopticon:{version}", f"panopticon:{version}-gpu"}

    def test_the_number_of_workers_is_left_to_the_operator(self) -> None:
        many = project({**ENVIRON, "TAGGER_WORKERS": "7"})["services"]["worker-tagger"]
        assert many["deploy"]["replicas"] == "7"


class TestProfiles:
    def test_without_a_profile_only_the_whole_system_runs(self) -> None:
        always = {service.name for service in services() if "profiles" not in service.spec}
        assert always == {
            "rabbitmq",
            "cassandra",
            "cassandra-setup",
            "opensearch",
            "worker-tagger",
            "worker-quality",
            "indexer",
        }

    @pytest.mark.parametrize(
        ("profile", "added"),
        [("gpu", "worker-tagger-gpu"), ("monitoring", "prometheus"), ("tools", "panopticon")],
    )
    def test_each_profile_adds_one_service(self, profile: str, added: str) -> None:
        assert [service.name for service in services() if profile in service.spec.get("profiles", [])] == [
            added
        ]

    def test_the_worker_for_gpus_runs_keras_on_a_device(self) -> None:
        gpu = project()["services"]["worker-tagger-gpu"]
        assert gpu["environment"]["PANOPTICON_ENGINE"] == "keras"
        (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]
        assert (gpu["profiles"], gpu["build"]["target"]) == (["gpu"], "gpu")


@pytest.mark.parametrize(
    ("text", "value"),
    [("${A}", "1"), ("${B:-2}", "2"), ("${A:-2}", "1"), ("${B}", ""), ("$$A", "$A"), ("${A:?why}", "1")],
)
def test_variables_are_filled_in_as_docker_compose_does(text: str, value: str) -> None:
    assert filled(text, {"A": "1"}) == value


def test_the_anchors_are_not_services() -> None:
    assert {key for key in raw() if key.startswith("x-")} == {"x-guarded", "x-worker"}
