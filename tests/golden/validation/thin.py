"""Writes this folder's CSV files: thinned copies of the public sets that NOTICE names.

    python3 thin.py FOLDER

FOLDER holds the whole sets under the same names. Rows are kept in pairs, an even and an odd one, so
that a calibration on the even rows still has neighbours to be judged by. The sets whose rows are
few are kept whole.
"""

import sys
from pathlib import Path

# Of how many pairs one is kept.
KEEP = {
    "decode_attention_aiconfigurator.csv": 4,
    "decode_attention_frontier_a800.csv": 4,
    "decode_attention_llmservingsim.csv": 1,
    "dense_layers_llmservingsim.csv": 1,
    "e2e_llm_inference_bench.csv": 1,
    "gemm_llama31_8b_shapes_aiconfigurator.csv": 8,
}


def thin(text, keep):
    header, *rows = text.splitlines()
    kept = [row for i, row in enumerate(rows) if i // 2 % keep == 0]
    return "\n".join([header, *kept]) + "\n"


def main():
    source = Path(sys.argv[1])
    target = Path(__file__).resolve().parent
    for name, keep in KEEP.items():
        text = (source / name).read_text(encoding="utf-8")
        (target / name).write_text(thin(text, keep), encoding="utf-8")


if __name__ == "__main__":
    main()
