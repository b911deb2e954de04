UV := .venv/bin/uv
lock: ## Pin again everything that pyproject.toml asks for
	$(UV) pip compile pyproject.toml --all-extras --universal --python-version 3.11 -o requirements/all.txt --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-package kubetune --upgrade -q
