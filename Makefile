# `make` alone lists what there is. Everything is set up by itself; nothing outside this folder
# is changed. PORT= and DATA_DIR= move `make run`; ARGS= goes to the test runner; PYTHON= is the
# Python to make .venv with.

.DEFAULT_GOAL := help
.PHONY: help setup setup-ai setup-oauth setup-dev run upgrade test test-all test-tls licences e2e screenshots chaos chaos-long bench bench-morning bench-tick bench-web bench-api bench-api-mails bench-ai bench-idle day first-hour lint fmt lock
# Each worker of a run, and each program of a test, would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE
PYTHONS := app bench chaos e2e rehearsal tests tools gunicorn.conf.py $(wildcard migrations)

help: ## この一覧 / this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

setup: ## 動かすための環境を .venv に作る / make .venv with what running needs
	@sh tools/setup.sh run

setup-ai: ## AI の要約のための部品も入れる / add what the recap by AI needs
	@sh tools/setup.sh ai

setup-oauth: ## OAuth の署名(Google、Microsoft の証明書)のための部品も入れる / add what signs for OAuth
	@sh tools/setup.sh oauth

setup-dev: ## テストと検査の道具も入れる / add what tests and checks need
	@sh tools/setup.sh dev

run: setup ## すべてを起動する(http://127.0.0.1:8000) / start everything
	@exec .venv/bin/task-progress run

upgrade: ## 新しい版にする(systemd で動かしているマシンで) / bring another version, on a machine with systemd (TO=v0.2.0)
	@.venv/bin/python -B -m tools.upgrade $(if $(TO),--to $(TO)) $(ARGS)

# Tests wait, those that start programs for longer: more at once than there are processors.
PYTEST = .venv/bin/python -m pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + $(1))) --dist worksteal

test: setup-dev ## テスト / the tests (ARGS="-k holiday")
	@$(call PYTEST,1) --core $(ARGS)

test-all: setup-dev ## プログラムを起動するテストと、両方のデータベースも / also what starts programs, on both databases
	@$(call PYTEST,2) $(ARGS)

test-tls: setup-dev ## Redis に関するテストを TLS と ACL の Redis で(redis-server が必要) / tests about Redis, over TLS with few rights
	@TEST_REDIS=tls $(call PYTEST,1) tests/test_redis_tls.py tests/test_main_job.py \
	  tests/test_outbox.py tests/test_outbox_lines.py tests/test_sign_in.py tests/test_doctor.py $(ARGS)

e2e: setup-dev ## 本物のブラウザーで試す(chromium が必要) / the pages in a real browser (needs chromium)
	@.venv/bin/python -m pytest e2e -q -n 2 --dist worksteal $(ARGS)

screenshots: setup-dev ## docs/screenshots に画面の写しを作る / pictures of the pages
	@SCREENSHOTS=docs/screenshots .venv/bin/python -m pytest e2e/test_screenshots.py -q $(ARGS)

bench-tick: setup-dev ## 定期処理の時間(2千人と20万人) / what a tick costs (2,000 and 200,000 members)
	@.venv/bin/python -m bench.tick $(ARGS)

# JOBS rows at once: they mostly wait. CHAOS=ci is the short set, CHAOS=kills the kill rows alone, CHAOS=machines
# those about failover, a pooler and a shared Redis.
JOBS ?= 8
RIG = .venv/bin/python -m pytest chaos -q -n $(JOBS) --dist worksteal $(ARGS)

chaos: setup-dev ## 壊して確かめる(約20分、CHAOS=ci は短い組) / break it, count what arrived (SEEDS=5)
	@$(RIG)

chaos-long: setup-dev ## 同じことを実時間で、種類ごとに1つ / one row of each class in real time
	@CHAOS=long $(RIG)

# SCALE=1 is real time, and writes docs/day.md.
SCALE ?= 0.05
day: setup-dev ## 9時にメールサーバーが止まる朝(SCALE=1 は実時間) / a morning without a mail server (SCALE=1: real time)
	@.venv/bin/python -m rehearsal.day --scale $(SCALE) $(ARGS)

first-hour: setup-dev ## README の「チームで使う」を、空の Debian でそのまま入力する(root、debootstrap) / README's team path on an empty Debian
	@.venv/bin/python -m rehearsal.first_hour $(ARGS)

bench: setup-dev ## 送信の速さを測る(smtp-sink が必要) / how fast mails leave (needs smtp-sink; ARGS="--quick")
	@.venv/bin/python -m bench.delivery $(ARGS)

bench-morning: setup-dev ## 2万人と20万人の朝(smtp-sink が必要) / a large morning through tick, queue and workers (needs smtp-sink)
	@.venv/bin/python -m bench.large_morning $(ARGS)

bench-web: setup-dev ## 各ページの時間(2万人、90日分) / server time of each page (20,000 members, 90 days)
	@.venv/bin/python -m bench.web $(ARGS)

bench-api: setup-dev ## API の各操作の時間(2万人、90日分) / server time of each operation of the API
	@.venv/bin/python -m bench.api $(ARGS)

bench-api-mails: setup-dev ## API の読み取り(毎秒20回)がメールを遅らせないか(smtp-sink が必要) / whether reads of the API delay mails (needs smtp-sink)
	@.venv/bin/python -m bench.mails_beside_api $(ARGS)

bench-idle: setup-dev ## 何も送らないときのメモリー / memory of the units while nothing happens
	@.venv/bin/python -m bench.idle $(ARGS)

bench-ai: setup-dev ## AI のキューが一杯のときのメール(smtp-sink が必要) / mails while the ai queue is full (needs smtp-sink)
	@.venv/bin/python -m bench.ai_queue $(ARGS)

lint: setup-dev ## 書式、型、部屋どうしの関係、大きさの検査 / style, types, which room knows which, sizes
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy $(PYTHONS)
	@.venv/bin/lint-imports --no-logo --no-cache
	@.venv/bin/python tools/house.py

licences: setup-dev ## 使っている部品のライセンスを確かめる / whose licence each installed package has, and whether we may
	@.venv/bin/python tools/licences.py

fmt: setup-dev ## 書式を整える / format and mend what can be mended
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

LOCK := uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links

lock: ## requirements/*.in から *.txt を作り直す(uv が必要) / pin anew what *.in asks for (needs uv)
	@command -v uv >/dev/null || { \
	  echo "uv がありません。pip install uv などで入れてください。 / uv is missing; pip install uv."; \
	  exit 1; }
	@$(LOCK) requirements/run.in -o requirements/run.txt
	@$(LOCK) -c requirements/run.txt requirements/ai.in -o requirements/ai.txt
	@$(LOCK) -c requirements/run.txt requirements/oauth.in -o requirements/oauth.txt
	@$(LOCK) -c requirements/ai.txt -c requirements/oauth.txt requirements/dev.in -o requirements/dev.txt
