"""What of a job that keeps files does not go together, and where its backups go."""

from pathlib import Path

from backup.engines.contract import Origin
from backup.plan import planned
from backup.settings import Backups, Copy, Encryption, Job
from toban.backups import Method
from toban.secrets import Secret

HOST = Origin(name="host", kind="host")
NAS = Copy(name="nas", path=Path("/mnt/nas"))
FAR = Copy(name="far", url="s3://bucket/toban")
SEALED = Encryption(method="age", recipients=("age1x",))


def problems(*jobs: Job, encryption: Encryption | None = None, copies: tuple[Copy, ...] = (NAS,)) -> dict[str, str]:
    """What is wrong with these jobs."""
    settings = Backups(repository=Path("/r"), jobs=jobs, copies=copies, encryption=encryption)
    return {".".join(map(str, path)): why for path, why in planned(settings, (HOST,)).problems}


def a_job(name: str = "etc", *, copies: tuple[str, ...] | None = None, password: str | None = None) -> Job:
    """One that keeps /etc."""
    secret = None if password is None else Secret(password)
    paths = (Path("/etc"),)
    return Job(name=name, target="host", method=Method.FILES, paths=paths, copies=copies, password=secret)


def test_files_go_to_folders_and_to_no_object_storage() -> None:
    """Restic's repository is carried by restic itself; whoever would believe it to be elsewhere is told."""
    plan = planned(Backups(repository=Path("/r"), jobs=(a_job(),), copies=(NAS,)), (HOST,))
    assert (plan.problems, plan.copies(a_job())) == ((), (NAS,))
    why = (
        "files lie in restic's own repository, which does not go to far; "
        "write copies: [nas], and let `restic copy` go there"
    )
    for copies, found in ((None, {"jobs.0.copies": why}), (("far",), {"jobs.0.copies": why}), (("nas",), {}), ((), {})):
        assert problems(a_job(copies=copies), copies=(NAS, FAR)) == found


def test_files_that_are_to_be_sealed_need_a_password() -> None:
    """The key that is made otherwise lies beside what it opens."""
    assert list(problems(a_job(), encryption=SEALED)) == ["jobs.0.password"]
    assert problems(a_job(password="x"), encryption=SEALED) == {}


def test_files_of_a_target_have_one_password() -> None:
    """They lie in one repository."""
    found = problems(a_job(password="x"), a_job("srv", password="y"))
    assert found == {"jobs.1.password": "is another than that of etc; the files of a target lie in one repository"}
    assert problems(a_job(password="x"), a_job("srv", password="x")) == {}
