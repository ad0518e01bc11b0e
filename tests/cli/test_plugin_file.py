"""Files that name a Nipype plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from qmri_bids.cli.plugin_file import SUBMIT, PluginFileError, check_cluster, load_plugin, plugin_names

CONTENTS = {
    "plugin.yml": "plugin: SLURM\nplugin_args: {sbatch_args: --mem=4G, dont_resubmit_completed_jobs: true}\n",
    "plugin.toml": 'plugin = "SLURM"\n[plugin_args]\nsbatch_args = "--mem=4G"\ndont_resubmit_completed_jobs = true\n',
    "plugin.json": '{"plugin": "SLURM", "plugin_args": {"sbatch_args": "--mem=4G", "dont_resubmit_completed_jobs": true}}',
}


@pytest.mark.parametrize("name", CONTENTS)
def test_yaml_toml_and_json_say_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(CONTENTS[name])
    expected = {"sbatch_args": "--mem=4G", "dont_resubmit_completed_jobs": True}
    assert load_plugin(tmp_path / name) == ("SLURM", expected)


def test_a_template_is_a_script_or_a_path_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "plugin.yml"
    path.write_text("plugin: SLURM\nplugin_args: {template: job.sh}\n")
    with pytest.raises(PluginFileError, match=r"template: expected a batch script or the path of one, found 'job.sh'"):
        load_plugin(path)
    (tmp_path / "job.sh").write_text("#!/bin/sh\n")
    assert load_plugin(path)[1] == {"template": str(tmp_path / "job.sh")}
    path.write_text('plugin: SLURM\nplugin_args: {template: "#!/bin/sh\\n#SBATCH --time=1\\n"}\n')
    assert load_plugin(path)[1]["template"].startswith("#!/bin/sh\n")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("plugin.yml", "plugin: slurm", "plugin: expected one of .*, found slurm; did you mean SLURM?"),
        ("plugin.yml", "plugin: Cloud9000", "found Cloud9000; the names are those of Nipype, without 'Plugin'"),
        ("plugin.yml", "plugin: 3", "plugin: expected the name of a Nipype plugin, for instance SLURM, found 3"),
        (
            "plugin.yml",
            "plugin_args: {}",
            "plugin: expected the name of a Nipype plugin, for instance SLURM, found None",
        ),
        ("plugin.yml", "plugin: SLURM\nargs: {}", "expected the keys plugin and plugin_args, found args, too"),
        ("plugin.yml", "- SLURM", "expected the keys plugin and plugin_args, found \\['SLURM'\\]"),
        ("plugin.yml", "plugin: SLURM\nplugin_args: [1]", "plugin_args: expected a table of arguments by name, found"),
        ("plugin.yml", "plugin: [", "expected YAML, found: "),
        ("plugin.json", "{", "expected JSON, found: "),
        ("plugin.toml", "=", "expected TOML, found: "),
        ("plugin.ini", "", "expected a file .yml, .yaml, .toml, .json, found .ini"),
        ("plugin", "", "found no extension"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PluginFileError, match=message):
        load_plugin(tmp_path / name)


def test_a_cluster_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plugin.yml"
    path.write_text("plugin: SLURM\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PluginFileError, match="SLURM needs the program sbatch, found none on PATH"):
        check_cluster(path)
    (tmp_path / "sbatch").write_text("#!/bin/sh\n")
    (tmp_path / "sbatch").chmod(0o755)
    check_cluster(path)
    assert set(SUBMIT) <= set(plugin_names())
