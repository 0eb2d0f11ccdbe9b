"""Writes this folder's CSV files: thinned copies of the public sets that NOTICE names.

    python3 thin.py FOLDER

FOLDER holds the whole sets under the same names. What is kept is kept whole, all batches and contexts of
two head shapes or all rows of an engine, so that a calibration on the even rows has the neighbours that
it would have in the whole set. One set is regular enough to keep every fourth pair of rows of; the small
ones are kept whole.
"""

import csv
import io
import sys
from pathlib import Path

HEADS = {("32", "8"), ("32", "32")}
ENGINES = {("a100_sxm", "vllm-0.14.0"), ("h100_sxm", "vllm-0.24.0")}

KEEP = {
    "decode_attention_aiconfigurator.csv":
        lambda i, row: (row["n_q_heads"], row["n_kv_heads"]) in HEADS,
    "decode_attention_frontier_a800.csv": lambda i, row: i // 2 % 4 == 0,
    "decode_attention_llmservingsim.csv": lambda i, row: True,
    "dense_layers_llmservingsim.csv": lambda i, row: True,
    "e2e_llm_inference_bench.csv": lambda i, row: True,
    "gemm_llama31_8b_shapes_aiconfigurator.csv":
        lambda i, row: (row["system"], row["fw"]) in ENGINES,
}


def thin(text, keep):
    lines = text.splitlines()
    rows = csv.DictReader(io.StringIO(text))
    return "\n".join([lines[0], *(lines[i + 1] for i, row in enumerate(rows) if keep(i, row))]) + "\n"


def main():
    source = Path(sys.argv[1])
    target = Path(__file__).resolve().parent
    for name, keep in KEEP.items():
        text = (source / name).read_text(encoding="utf-8")
        (target / name).write_text(thin(text, keep), encoding="utf-8")


if __name__ == "__main__":
    main()
