"""Files of a repository by huggingface_hub, and what it sees in the cache: JSON on stdin, JSON on stdout."""
import json
import os
import sys

job = json.load(sys.stdin)
os.environ["HF_ENDPOINT"] = job["endpoint"]
os.environ["HF_HUB_CACHE"] = job["cache"]
os.environ["HF_HUB_OFFLINE"] = "1" if job["offline"] else "0"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from huggingface_hub import hf_hub_download, scan_cache_dir  # noqa: E402  (it reads the variables when imported)

paths = [hf_hub_download(job["repository"], name, local_files_only=job["offline"]) for name in job["files"]]
seen = scan_cache_dir(job["cache"])
revisions = [revision for repo in seen.repos for revision in repo.revisions]
print(
    json.dumps(
        {
            "paths": paths,
            "commits": [revision.commit_hash for revision in revisions],
            "references": sorted(ref for revision in revisions for ref in revision.refs),
            "warnings": [str(warning) for warning in seen.warnings],
        }
    )
)
