"""The files that TensorFlow Serving reads beside the models: what they say, and that what somebody edited stays."""

import subprocess

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

from pipeline.publishing import server_configs
from pipeline.publishing.server_configs import FILES, MODELS, write_configs

PARAMETERS = """
name: "parameters.proto"  package: "tensorflow.serving"  syntax: "proto3"  dependency: "google/protobuf/wrappers.proto"
message_type {
  name: "BatchingParameters"
  field { name: "max_batch_size" number: 1 label: LABEL_OPTIONAL type_name: ".google.protobuf.Int64Value" }
  field { name: "batch_timeout_micros" number: 2 label: LABEL_OPTIONAL type_name: ".google.protobuf.Int64Value" }
  field { name: "max_enqueued_batches" number: 3 label: LABEL_OPTIONAL type_name: ".google.protobuf.Int64Value" }
  field { name: "num_batch_threads" number: 4 label: LABEL_OPTIONAL type_name: ".google.protobuf.Int64Value" }
  field { name: "allowed_batch_sizes" number: 6 label: LABEL_REPEATED type: TYPE_INT64 }
  field { name: "pad_variable_length_inputs" number: 7 label: LABEL_OPTIONAL type: TYPE_BOOL }
}
message_type {
  name: "PrometheusConfig"
  field { name: "enable" number: 1 label: LABEL_OPTIONAL type: TYPE_BOOL }
  field { name: "path" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING }
}
message_type {
  name: "MonitoringConfig"
  field { name: "prometheus_config" number: 1 label: LABEL_OPTIONAL type_name: ".tensorflow.serving.PrometheusConfig" }
}
"""
"""Of TensorFlow Serving's session_bundle_config.proto and monitoring_config.proto, which no package holds."""


@pytest.fixture
def target(tmp_path):
    """A folder with two models, one of which has no version any more, and what else may lie there."""
    for version in ("streets/3", "rolled/rolled_back-1", "camvid/1", "camvid/2"):
        folder = tmp_path / version
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "notes.txt").write_text("mine")
    return tmp_path


def parse(text, name):
    """A message of PARAMETERS."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(text_format.Parse(PARAMETERS, descriptor_pb2.FileDescriptorProto()))
    return text_format.Parse(
        text, message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))()
    )


def served(target):
    """Name, path and platform of each model that TensorFlow Serving is told to serve."""
    from tensorflow_serving.config import model_server_config_pb2

    text = (target / MODELS).read_text()
    models = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    return [(model.name, model.base_path, model.model_platform) for model in models]


def test_every_model_with_a_version_is_served_from_its_place_in_the_image(target):
    write_configs(target)
    assert served(target) == [
        ("camvid", "/models/camvid", "tensorflow"),
        ("streets", "/models/streets", "tensorflow"),
    ]
    assert {path.name for path in target.iterdir() if path.is_file()} == {
        *(file.name for file in FILES.iterdir()),
        MODELS,
        "notes.txt",
    }


def test_a_new_model_is_added_and_edited_files_stay(target, capsys):
    write_configs(target)
    (target / "compose.yaml").write_text("services: {}\n")
    (target / "new" / "1").mkdir(parents=True)
    (target / "new" / "1" / "saved_model.pb").write_bytes(b"graph")
    write_configs(target)
    assert [name for name, *_ in served(target)] == ["camvid", "new", "streets"]
    assert (target / "compose.yaml").read_text() == "services: {}\n"
    assert capsys.readouterr().out == ""
    mine = 'model_config_list { config { name: "streets" base_path: "/elsewhere" } }'
    (target / MODELS).write_text(mine)
    write_configs(target)
    assert (target / MODELS).read_text() == mine
    assert "it does not name camvid, new" in capsys.readouterr().out


def test_a_model_that_another_run_pushes_meanwhile_is_not_lost(target, monkeypatch):
    listed = server_configs.list_models

    def list_and_push(folder):
        found = listed(folder)
        (folder / "late" / "1").mkdir(parents=True, exist_ok=True)
        (folder / "late" / "1" / "saved_model.pb").write_bytes(b"graph")
        return found

    monkeypatch.setattr(server_configs, "list_models", list_and_push)
    write_configs(target)
    assert "late" in [name for name, *_ in served(target)]


def test_batching_and_monitoring_are_parameters_that_tensorflow_serving_knows():
    batching = parse((FILES / "batching.config").read_text(), "BatchingParameters")
    assert batching.max_batch_size.value >= 2 and batching.num_batch_threads.value >= 1
    assert batching.batch_timeout_micros.value < 100_000 and batching.max_enqueued_batches.value > 0
    assert not batching.pad_variable_length_inputs  # padding would be labelled, too
    monitoring = parse((FILES / "monitoring.config").read_text(), "MonitoringConfig").prometheus_config
    assert monitoring.enable and monitoring.path == "/monitoring/prometheus/metrics"


def flags(words):
    return dict(word.removeprefix("--").split("=") for word in words)


def test_compose_serves_the_folder_on_loopback_by_files_that_are_there(target):
    write_configs(target)
    (service,) = yaml.safe_load((FILES / "compose.yaml").read_text())["services"].values()
    assert service["image"].startswith("tensorflow/serving:") and service["volumes"] == [".:/models:ro"]
    assert service["ports"] == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    for flag, value in flags(service["command"]).items():
        if flag.endswith("_file"):
            assert (target / value.removeprefix("/models/")).is_file(), flag
    assert service["healthcheck"]["test"][:3] == ["CMD", "bash", "-c"]


def test_kubernetes_probes_the_ports_that_the_service_leads_to(target):
    write_configs(target)
    deployment, service = yaml.safe_load_all((FILES / "kubernetes.yaml").read_text())
    assert (deployment["kind"], service["kind"]) == ("Deployment", "Service")
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert service["spec"]["selector"] == labels == deployment["spec"]["selector"]["matchLabels"]
    (container,) = template["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == set(ports)
    monitoring = parse((target / "monitoring.config").read_text(), "MonitoringConfig").prometheus_config
    assert container["readinessProbe"]["httpGet"] == {"path": monitoring.path, "port": "rest"}
    (compose,) = yaml.safe_load((FILES / "compose.yaml").read_text())["services"].values()
    assert flags(container["args"]) == flags(compose["command"])
    (mount,) = container["volumeMounts"]
    assert mount["mountPath"] == "/models" and mount["readOnly"]
    assert mount["name"] in {volume["name"] for volume in template["spec"]["volumes"]}


def test_beside_models_in_s3_lie_manifests_in_which_another_container_brings_them_to_the_server(target):
    url = "s3://bucket/models"
    write_configs(target, url=url, others=["elsewhere"])
    assert "elsewhere" in [name for name, *_ in served(target)]
    services = yaml.safe_load((target / "compose.yaml").read_text())
    sync, server = services["services"]["sync"], services["services"]["tensorflow-serving"]
    assert sync["volumes"] == ["models:/models"] and server["volumes"] == ["models:/models:ro"]
    assert server["depends_on"] == {"sync": {"condition": "service_healthy"}} and list(services["volumes"]) == [
        "models"
    ]
    account, deployment, service = yaml.safe_load_all((target / "kubernetes.yaml").read_text())
    assert [one["kind"] for one in (account, deployment, service)] == ["ServiceAccount", "Deployment", "Service"]
    pod = deployment["spec"]["template"]["spec"]
    beside, container = pod["containers"]
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert {mount["name"] for one in (*pod["initContainers"], beside, container) for mount in one["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }
    # The same server as beside a folder, and in both manifests the same work: the graphs last, no empty folder.
    (local,) = yaml.safe_load((FILES / "compose.yaml").read_text())["services"].values()
    assert flags(container["args"]) == flags(server["command"]) == flags(local["command"])
    for script in (sync["command"][0].replace("$$", "$"), beside["args"][0]):
        assert subprocess.run(["bash", "-n", "-c", script], check=False).returncode == 0
        first, second = (line.split() for line in script.splitlines() if "aws s3 sync" in line)
        assert first[3:5] == second[3:5] == [url, "/models"] and '"*/saved_model.pb"' in first and "--delete" in second
        assert '"*/saved_model.pb"' not in second and 'rmdir "$folder"' in script


def test_beside_models_in_another_store_lie_no_manifests_that_could_not_read_it(target):
    write_configs(target, url="gs://bucket/models")
    assert not list(target.glob("*.yaml")) and (target / "monitoring.config").is_file() and len(served(target)) == 2
