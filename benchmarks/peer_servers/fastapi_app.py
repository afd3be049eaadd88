"""FastAPI as its tutorial shows it: an uploaded file, and a function that FastAPI calls in a thread."""

from fastapi import FastAPI, UploadFile
from model import Model

app = FastAPI()
model = Model()


@app.post("/predict")
def predict(image: UploadFile):
    return model.predict(model.pixels(image.file)[None])[0]
