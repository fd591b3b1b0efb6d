"""The tool as it is installed: from a wheel, alone, in an empty environment and an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv

import pytest

from kronos_mixin.contract import mixin_path

ROOT = mixin_path().parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of an environment with the base installation, and the folder to work in."""
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"
    # Others may be at work in the checkout, and building leaves traces.
    beside = shutil.ignore_patterns(".*", "tests", "monitoring", "vendor", "proof", "benchmarks", "training")
    built = shutil.ignore_patterns("__pycache__")

    def hidden(folder, names):
        return built(folder, names) | (beside(folder, names) if folder == str(ROOT) else set())

    shutil.copytree(ROOT, source, ignore=hidden)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(work), str(source)], check=True)
    (wheel,) = work.glob("*.whl")
    venv.create(work / "env", with_pip=False)
    python = work / "env/bin/python"
    subprocess.run([*pip, "--python", str(python), "install", *constraints, str(wheel)], check=True)
    (work / "empty").mkdir()
    return work / "env", work / "empty"


@pytest.fixture
def run(installed):
    environment, folder = installed
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}

    def run(*arguments):
        command = [str(environment / "bin/kronos-mixin"), *arguments]
        return subprocess.run(
            command, cwd=folder, env=clean, capture_output=True, text=True, check=False, timeout=120
        )

    return run


def test_it_compiles_and_checks_from_an_empty_folder(run, installed):
    environment, folder = installed
    done = run("compile", "--target", "plain", "--target", "kubernetes")
    assert done.returncode == 0, done.stderr
    for name in ("prometheus/kronos-rules.yml", "grafana/kronos-dashboard.json"):
        assert (folder / "monitoring" / name).stat().st_size > 1000
    done = run("check")
    assert (done.returncode, done.stdout.endswith("nothing found\n")) == (0, True), done.stdout + done.stderr
    heavy = ("torch", "fastapi", "numpy", "pandas")
    found = [path.name for path in environment.glob("lib/python*/site-packages/*") if path.name in heavy]
    assert found == []


def test_it_merges_from_an_empty_folder(run, installed):
    path = installed[1] / "prometheus.yml"
    path.write_text("global: {}\n")
    done = run("merge", "prometheus.yml", "--target", "localhost:8000", "--yes")
    assert done.returncode == 0, done.stderr
    assert "job_name: kronos-api" in path.read_text()
    assert run("unmerge", "prometheus.yml", "--yes").returncode == 0
    assert path.read_text() == "global: {}\n"


def test_the_service_comes_with_its_demo_checkpoint(installed):
    below = "service/kronos_service/forecaster/checkpoints"
    (packed,) = installed[0].glob("lib/python*/site-packages/kronos_service/forecaster/checkpoints")
    for file in (path.relative_to(ROOT / below) for path in (ROOT / below).rglob("*.*")):
        assert (packed / file).read_bytes() == (ROOT / below / file).read_bytes()


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_the_service_says_how_to_get_the_packages_that_it_needs(installed, arguments):
    environment, folder = installed
    command = [environment / "bin/python", "-m", "kronos_service", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("kronos_service: the package ")
    assert "pip install 'kronos-monitoring[service]'" in done.stderr
    assert done.stderr.count("\n") == 1
