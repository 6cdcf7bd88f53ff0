"""The page on anonymization shows what its code prints."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[3] / "docs" / "anonymization.md").read_text()


def test_the_pages_examples_run_and_print_what_the_page_says() -> None:
    printed = []
    for code in re.findall(r"(?ms)^```python\n(.*?)^```", PAGE):
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        printed.append(ran.stdout.strip())
        assert f"# {printed[-1]}\n" in code
    assert printed == ["{'age': 2, 'zip': 3} 0 0.4", "(5.0, None, None, None) 9.0"]


def test_the_page_claims_no_anonymity_and_calls_pseudonyms_personal_data() -> None:
    text = " ".join(PAGE.replace("**", "").split())
    assert "makes nothing anonymous in the legal sense" in text
    assert "Pseudonymised data are personal data (GDPR Art. 4(5))" in text
