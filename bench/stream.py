# SPDX-License-Identifier: MIT
"""What streaming reaches: tokens/s by how much of the model stays, beside what the disk's rate allows, and beside
fio on the same file (O_DIRECT, io_uring, the same block size and depth), taking turns. The text's hash must not change."""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile

BLOCK, DEPTH = "1M", 32  # those of bench/uring_reader.h


def fio(path, seconds, huge):
    """GB/s."""
    command = ["fio", "--name=read", f"--filename={path}", "--rw=read", f"--bs={BLOCK}", f"--iodepth={DEPTH}",
               "--ioengine=io_uring", "--direct=1", f"--runtime={seconds}", "--time_based", "--readonly",
               "--output-format=json"] + (["--iomem=mmaphuge"] if huge else [])
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report["jobs"][0]["read"]["bw_bytes"] * 1e-9


def run(host, path, n_tokens, extra, args):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [host, "-m", path, "-p", "Tell me about the sea", "-n", str(n_tokens), "-c", "512", "--ignore-eos",
                   "--draft", "off", "-q", "--json", out.name] + extra + args
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.load(open(out.name, encoding="utf-8"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--model", required=True)
    parser.add_argument("--mib", default="0 250 350 450 550", help="values of --resident-mib")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--fio-seconds", type=int, default=2)
    parser.add_argument("--fio-huge", action="store_true", help="fio reads into huge pages (vm.nr_hugepages >= 16)")
    parser.add_argument("--args", default="", help="further options of axiom-host")
    o = parser.parse_args()
    host, args = f"{o.build}/axiom-host", o.args.split()
    kinds = [(f"resident {mib} MiB", ["--stream", "on", "--resident-mib", mib]) for mib in o.mib.split()]
    kinds.append(("in memory", ["--stream", "off"]))
    records = {name: [] for name, _ in kinds}
    disk = []
    for i in range(o.rounds):
        for name, extra in kinds[i % len(kinds):] + kinds[:i % len(kinds)]:
            disk.append(fio(o.model, o.fio_seconds, o.fio_huge))
            records[name].append(run(host, o.model, o.tokens, extra, args))
    hashes = {r["logits_hash"] for rs in records.values() for r in rs}
    if len(hashes) != 1:
        sys.exit(f"different hashes: {hashes}")

    def median(values):
        return statistics.median(values)

    print(f"fio {median(disk):.3f} GB/s ({min(disk):.3f}..{max(disk):.3f}, n={len(disk)}); hash {hashes.pop()}")
    # The limits of a pass: all of its reading at the rate with nothing else to do, and its compute.
    in_memory = median([r["decode_ts"] for r in records["in memory"]])
    streamed = [r for name, _ in kinds[:-1] for r in records[name]]
    rate = median([r["disk_start_gb_per_s"] for r in streamed])
    print(f"the disk while loading: {rate:.3f} GB/s; in memory: {in_memory:.2f} tokens/s")
    print("| --resident-mib | layers streamed | GB a pass | GB/s | of fio | hidden | tokens/s | allowed | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (name, extra) in kinds[:-1]:
        rs = records[name]
        n_bytes = sum(layer["bytes"] for layer in rs[0]["layers"])
        speed = median([r["decode_ts"] for r in rs])
        gb_per_s = median([r["disk_gb_per_s"] or 0 for r in rs])
        allowed = min(rate * 1e9 / n_bytes, in_memory) if n_bytes else in_memory
        print(f"| {extra[-1]} | {rs[0]['n_streamed_layers'] or 0} of {len(rs[0]['layers'])} | {n_bytes * 1e-9:.3f} "
              f"| {gb_per_s:.3f} | {gb_per_s / median(disk):.2f} | {median([r['disk_hidden'] or 0 for r in rs]):.2f} "
              f"| {speed:.2f} | {allowed:.2f} | {speed / allowed:.2f} |")


if __name__ == "__main__":
    main()
