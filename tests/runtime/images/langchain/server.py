"""A LangServe server as a user would write it: a prompt, the stack's engine, text."""
import os
import pathlib

import uvicorn
from fastapi import FastAPI
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from langserve import add_routes

app = FastAPI(title="LangServe")
model = ChatOpenAI(
    model=os.environ.get("OPENAI_MODEL", "llama-cpp"),
    base_url=os.environ["OPENAI_BASE_URL"],
    api_key=os.environ.get("OPENAI_API_KEY", "none"),
    max_tokens=8,
)
add_routes(app, ChatPromptTemplate.from_template("{question}") | model | StrOutputParser(), path="/ask")


@app.get("/health")
def health():
    # What it keeps is its workspace's: not able to write there is no health.
    pathlib.Path("/workspace/.health").touch()
    return {"status": "ok"}


uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]), log_level="warning")
