"""Beam's options: a runner in this process that downloads nothing; unknown options are refused."""

import re
import urllib.request

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DirectOptions, StandardOptions
from apache_beam.testing.util import assert_that, equal_to

from pipeline.examples.runner_options import DASK_RUNNER, RUNNER, pipeline_options
from tests.conftest import ROOT


def test_the_default_runner_works_in_this_process_and_downloads_nothing(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError(f"a download was tried: {args}")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr("apache_beam.runners.portability.prism_runner.PrismRunner.__init__", refuse)
    monkeypatch.setattr("apache_beam.utils.subprocess_server.SubprocessServer.start", refuse)
    options = pipeline_options()
    pipeline = beam.Pipeline(options=options)
    assert_that(pipeline | beam.Create([1, 2]) | beam.Map(abs), equal_to([1, 2]))
    result = pipeline.run()
    result.wait_until_finish()
    assert type(pipeline.runner).__name__ == "FnApiRunner"
    assert options.view_as(StandardOptions).runner == RUNNER


def test_given_options_override_the_defaults():
    options = pipeline_options(["--direct_num_workers=5", "--runner=FlinkRunner"])
    assert options.view_as(DirectOptions).direct_num_workers == 5
    assert options.view_as(StandardOptions).runner == "FlinkRunner"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--direct_num_worker=2"],
            r"'--direct_num_worker=2'\. Received: -- --direct_num_worker=2\. Did you mean '--direct_num_workers'",
        ),
        (["stray"], r"Unknown option of Beam 'stray'.*before the bare `--`"),
        (["--direct_num_workers=two"], r"Received: --direct_num_workers=two \[.*invalid int value"),
        (["--direct_running_mode=everywhere"], r"\[.*invalid choice: 'everywhere'"),
    ],
)
def test_options_unknown_to_beam_are_refused(argv, message):
    with pytest.raises(ValueError, match=message):
        pipeline_options(argv)


OWN = """
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

class OwnOptions(PipelineOptions):
    @classmethod
    def _add_argparse_args(cls, parser):
        parser.add_argument("--address_of_own_runner")

class OwnRunner(FnApiRunner):
    pass
"""


def test_a_runner_may_have_options_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "own_runner.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    options = pipeline_options(["--runner=own_runner.OwnRunner", "--address_of_own_runner=here:1"])
    assert options.get_all_options()["address_of_own_runner"] == "here:1"
    assert (
        pipeline_options(["--runner=FlinkRunner", "--flink_master=here:2"]).get_all_options()["flink_master"]
        == "here:2"
    )


def test_dask_is_known_by_its_short_name_and_gets_parts_one_by_one():
    options = pipeline_options(["--runner=DaskRunner", "--dask_client_address=here:3"])
    assert options.view_as(StandardOptions).runner == DASK_RUNNER
    assert {"address": "here:3", "partition_size": 1}.items() <= options.get_all_options().items()
    chosen = pipeline_options(["--runner=dask", "--dask_npartitions=7"]).get_all_options()
    assert (chosen["npartitions"], chosen["partition_size"]) == (7, None)


def test_options_in_the_documentation_are_known():
    listed = re.findall(r"`(--(?:runner|direct|environment)[^`]+)`", (ROOT / "docs" / "scale.md").read_text())
    parsed = [pipeline_options(text.replace("=N", "=2").split()) for text in listed if "=" in text]
    runners = {options.view_as(StandardOptions).runner.rpartition(".")[2] for options in parsed}
    assert runners == {"FnApiRunner", "PortableRunner", "DaskRunner", "FlinkRunner", "SparkRunner", "DataflowRunner"}


def test_a_runner_that_is_not_installed_is_named():
    with pytest.raises(
        ValueError, match=r"must be installed\. Received: --runner=nowhere\.Runner \[No module named 'nowhere'\]"
    ):
        pipeline_options(["--runner=nowhere.Runner"])
