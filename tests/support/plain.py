"""`penstock.asgi` for other servers to import: `uvicorn tests.support.plain:app`. The file is named by PENSTOCK_CONFIG."""

import os

import penstock

app = penstock.asgi(os.environ["PENSTOCK_CONFIG"])
