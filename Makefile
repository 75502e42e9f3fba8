# libclip: `make demo` first, then `make test`. `make help` lists the rest.
#
# Everything that is not Rust, a C++ compiler, make or Python is fetched once into .deps/ (scripts/deps.sh).

CARGO  ?= cargo
PYTHON ?= python3
export PYTHON

# ONNX Runtime's Python package sends usage data otherwise; our own programs see to it themselves.
export ORT_DISABLE_TELEMETRY ?= 1

# Cargo's output folder, where the user has moved it.
OUT := $(or $(CARGO_TARGET_DIR),target)
export CARGO_TARGET_DIR := $(abspath $(OUT))

# A libtorch of the user's own is taken instead of ours.
LIBTORCH_HERE := $(if $(LIBTORCH)$(LIBTORCH_USE_PYTORCH),,.deps/libtorch)

# The crates that need no libtorch are the workspace's default members, see Cargo.toml.
BUILD := $(CARGO) build --release

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[.a-z\/-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: .deps/onnxruntime ## export models/emoji-tiny and classify examples/images/ from Rust and from C; needs no libtorch
	$(BUILD)
	scripts/demo.sh

.PHONY: build
build: .deps/onnxruntime $(LIBTORCH_HERE) ## every program and libclip.so, into target/release/
	$(BUILD) --workspace

.PHONY: test
test: .deps/onnxruntime .deps/onnxruntime-openvino .deps/tensorrt .deps/tensorrt-headers .deps/tensorrt-lean $(LIBTORCH_HERE) ## all tests; the ones that need the data folder are skipped without it
	$(CARGO) test --release --workspace --no-fail-fast
	scripts/gstreamer.sh test

.PHONY: parity
parity: .deps/python .deps/engines .deps/runtimes .deps/tensorrt .deps/frames build ## compare with open_clip, transformers, Pillow and PyTorch, in several engines
	$(BUILD) --workspace --examples
	scripts/parity.sh

.PHONY: bench
bench: .deps/python build ## measure beside PyTorch and ONNX Runtime, side by side in one run
	$(BUILD) --workspace --examples
	.deps/venv/bin/python tests/bench/compare.py $(OUT)/release/examples --json $(OUT)/bench.json

.PHONY: bench-train
bench-train: .deps/python build ## training beside open_clip's loop: samples per second of ViT-B/32 and RN50, and memory
	$(BUILD) --workspace --examples
	.deps/venv/bin/python tests/bench/compare.py $(OUT)/release/examples --only train --json $(OUT)/bench-train.json
	.deps/venv/bin/python tests/bench/memory.py $(OUT)/release --json $(OUT)/bench-memory.json

.PHONY: reproduce-emoji
reproduce-emoji: build ## train models/emoji-tiny anew (50 minutes on one core), and see that it becomes as good as its card says
	scripts/reproduce-emoji.sh

.PHONY: gpu
gpu: ## on a machine with an NVIDIA GPU: train there, check CUDA and embeddings, measure beside PyTorch
	scripts/gpu-check.sh

.PHONY: gstreamer
gstreamer: .deps/onnxruntime ## the GStreamer plugin of examples/gstreamer, target/release/libgstclip.so
	scripts/gstreamer.sh build

.PHONY: install
install: ## libclip, headers, pkg-config, CMake, programs, manual pages, completions: PREFIX=/usr/local LIBDIR= INCLUDEDIR= DESTDIR= TARGET=
	scripts/install.sh

.PHONY: uninstall
uninstall: ## remove what `make install` with the same PREFIX and DESTDIR put there
	scripts/install.sh uninstall

.PHONY: test-install
test-install: .deps/onnxruntime ## what `make install` and `make deb` make, used through pkg-config and CMake, and in a clean Debian
	$(CARGO) test --release -p clip-tests --test install --test deb -- --include-ignored --nocapture

.PHONY: deb
deb: ## Debian's packages libclip0, libclip-dev and clip-tools, into target/deb/; ARCH=arm64 for a board
	scripts/deb.sh

.PHONY: crates
crates: ## clip-model, clip-tensorrt and clip-runtime, packed as for crates.io and documented as on docs.rs
	scripts/crates.sh

export ARCH PREFIX LIBDIR INCLUDEDIR DESTDIR TARGET

.PHONY: aarch64
aarch64: ## libclip.so, libclip.a, clip-run and clip-export for arm64 Linux (Jetson), into target/aarch64/
	scripts/aarch64.sh build

.PHONY: test-aarch64
test-aarch64: .deps/python ## the same, run under qemu and compared with what this machine gives
	$(BUILD)
	scripts/aarch64.sh test

.PHONY: fuzz
fuzz: ## fuzz what reads foreign bytes, each target for two minutes
	scripts/fuzz.sh

.PHONY: check
check: .deps/onnxruntime $(LIBTORCH_HERE) ## formatting, lints, documentation, and that include/clip.h is up to date
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps
	scripts/header.sh --check
	scripts/gstreamer.sh check

.PHONY: header
header: ## write include/clip.h anew from ffi/
	scripts/header.sh

.PHONY: abi
abi: .deps/onnxruntime ## write ffi/abi.txt anew after something was added to clip.h
	CLIP_WRITE_ABI=1 $(CARGO) test --release -p clip-ffi --test abi

.PHONY: clean-deps
clean-deps: ## remove .deps/, to be fetched again when needed
	rm -rf .deps

# Always run: the script returns at once when the pinned versions are there.
.PHONY: FORCE
.deps/onnxruntime: FORCE ## libonnxruntime.so
	@scripts/deps.sh onnxruntime
.deps/onnxruntime-gpu: FORCE ## the one with CUDA, for `make gpu`
	@scripts/deps.sh onnxruntime-gpu
.deps/onnxruntime-openvino: FORCE ## the one with OpenVINO, for `--engine openvino`
	@scripts/deps.sh onnxruntime-openvino
.deps/libtorch: FORCE ## libtorch, for the trainer; with its CUDA libraries where there is an NVIDIA GPU
	@scripts/deps.sh libtorch
.deps/cuda: FORCE ## libtorch's CUDA libraries, also where no GPU was found
	@scripts/deps.sh cuda
.deps/python: FORCE ## the Python reference of `make parity` and `make bench`
	@scripts/deps.sh python
.deps/engines: FORCE ## OpenVINO and onnxruntime-web for `make parity`
	@scripts/deps.sh engines
.deps/tensorrt: FORCE ## TensorRT for RTX, which builds engines without a GPU, for tests and `make parity`
	@scripts/deps.sh tensorrt
.deps/tensorrt-headers: FORCE ## TensorRT's C++ headers, from which its doubles for tests are compiled
	@scripts/deps.sh tensorrt-headers
.deps/tensorrt-lean: FORCE ## TensorRT's lean runtime, which tests see refused
	@scripts/deps.sh tensorrt-lean
.deps/runtimes: FORCE ## transformers.js, fastembed and optimum-onnx for `make parity`
	@scripts/deps.sh runtimes
.deps/nncf: FORCE ## OpenVINO and NNCF, beside which tests/bench/serve.py measures
	@scripts/deps.sh nncf
.deps/optimum: FORCE ## optimum-onnx, beside which tests/bench/export.py measures
	@scripts/deps.sh optimum
.deps/frames: FORCE ## FFmpeg's conversions and OpenCV, with which frames are compared
	@scripts/deps.sh frames
