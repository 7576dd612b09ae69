"""The same training written down as other tools write it: a file in the form of each. Knows no diagnosis code.

Each function of `FORMS` takes the curves of a run and returns the text of the tool's file. The forms are those that the
tools write; where a tool lets its user choose names or intervals, the usual ones stand here.
"""

import csv
import io
import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

EPOCHS, STEPS, SECONDS, RATE = 24, 4, 12.0, 0.01
VERDICTS = ("overfitting", "underfitting", "good fit", "still improving")
Curves = dict[str, list[float]]


def curves(verdict: str, epochs: int = EPOCHS) -> Curves:
    """Return losses and accuracies after each epoch, 0 to 1, of a run that is far from any other verdict."""
    epoch = np.arange(1.0, epochs + 1)
    jitter = np.exp(np.random.default_rng(len(verdict)).normal(0, 0.01, (2, epochs)))
    if verdict == "overfitting":
        train = 1.2 * np.exp(-epoch / 5) + 0.03
        validation = train + 0.05 + 0.04 * np.maximum(epoch - 8, 0)
    elif verdict == "underfitting":
        train = 1.1 + 0.9 * np.exp(-epoch / 3)
        validation = train + 0.03
    elif verdict == "good fit":
        train = 0.15 + 1.0 * np.exp(-epoch / 2)
        validation = train + 0.02
    else:
        train = 1.5 * np.exp(-epoch / 11)
        validation = train + 0.02
    train, validation = train * jitter[0], validation * jitter[1]
    shares = [0.9 * np.exp(-0.4 * loss) + 0.1 for loss in (train, np.minimum(validation, train + 0.3))]
    made = {"train_loss": train, "train_accuracy": shares[0], "val_loss": validation, "val_accuracy": shares[1]}
    return {"epoch": epoch.tolist()} | {name: values.round(6).tolist() for name, values in made.items()}


@dataclass(frozen=True)
class Form:
    """How a tool writes a history down.

    Attributes:
        write: curves → the text of the file.
        suffix: of the file's name.
    """

    write: Callable[[Curves], str]
    suffix: str = "csv"


FORMS: dict[str, Form] = {}


def form(name: str, suffix: str = "csv") -> Callable[[Callable[[Curves], str]], Callable[[Curves], str]]:
    def add(write: Callable[[Curves], str]) -> Callable[[Curves], str]:
        FORMS[name] = Form(write, suffix)
        return write

    return add


def rows(run: Curves) -> list[dict[str, float]]:
    return [dict(zip(run, values, strict=True)) for values in zip(*run.values(), strict=True)]


def to_csv(columns: dict[str, list], separator: str = ",", header: str | None = None) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(columns if header is None else [header])
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def table(content: list[dict]) -> str:
    """A CSV text of rows that do not have all the names, as loggers write it."""
    names = list(dict.fromkeys(name for row in content for name in row))
    return to_csv({name: [row.get(name, "") for row in content] for name in names})


def lines(content: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in content)


def percents(values: list[float]) -> list[float]:
    return [round(100 * value, 4) for value in values]


def zero_based(run: Curves) -> list[int]:
    return [int(epoch) - 1 for epoch in run["epoch"]]


def running_time(run: Curves) -> list[float]:
    return [round(SECONDS * epoch, 3) for epoch in run["epoch"]]


def keras_columns(run: Curves) -> Curves:
    names = {"train_accuracy": "accuracy", "train_loss": "loss", "val_accuracy": "val_accuracy", "val_loss": "val_loss"}
    return {new: run[old] for old, new in names.items()}


def steps(value: float) -> list[float]:
    """What a tool logs within an epoch, whose mean is `value`."""
    return [round(value * (1 + 0.1 * (STEPS - 1 - 2 * step) / STEPS), 6) for step in range(STEPS)]


@form("fmnist, history.csv")
def fmnist(run):
    learnt = {"loss": [1.1 * value for value in run["train_loss"]], "accuracy": run["train_accuracy"]}
    return to_csv(
        {
            "epoch": [int(epoch) for epoch in run["epoch"]],
            "seconds": [SECONDS] * len(run["epoch"]),
            "learning_rate": [RATE] * len(run["epoch"]),
        }
        | learnt
        | {n: v for n, v in run.items() if n != "epoch"}
    )


@form("Keras, CSVLogger")
def keras_csv(run):
    return to_csv({"epoch": zero_based(run)} | keras_columns(run))


@form("Keras and AutoKeras, History.history", "json")
def keras_json(run):
    return json.dumps(keras_columns(run))


@form("Keras, model.history.__dict__", "json")
def keras_whole(run):
    return json.dumps(
        {"params": {"epochs": len(run["epoch"]), "steps": 9}, "epoch": zero_based(run), "history": keras_columns(run)}
    )


@form("Keras for R, as.data.frame(history)")
def keras_r(run):
    content = [
        {"epoch": int(row["epoch"]), "value": row[f"{whose}_{metric}"], "metric": metric, "data": data}
        for metric in ("accuracy", "loss")
        for whose, data in (("train", "training"), ("val", "validation"))
        for row in rows(run)
    ]
    return table(content)


@form("pandas, to_csv with its index")
def pandas_csv(run):
    return to_csv({"": zero_based(run)} | keras_columns(run))


@form("pandas, to_json (columns)", "json")
def pandas_columns(run):
    return json.dumps(
        {name: {str(row): cell for row, cell in enumerate(cells)} for name, cells in keras_columns(run).items()}
    )


@form("pandas, to_json (records)", "json")
def pandas_records(run):
    return json.dumps(rows(keras_columns(run)))


@form("pandas, to_json (index)", "json")
def pandas_index(run):
    return json.dumps({str(number): row for number, row in enumerate(rows(keras_columns(run)))})


@form("pandas, to_json (split)", "json")
def pandas_split(run):
    columns = keras_columns(run)
    data = [list(row.values()) for row in rows(columns)]
    return json.dumps({"columns": list(columns), "index": zero_based(run), "data": data})


@form("pandas, to_json (table)", "json")
def pandas_table(run):
    columns = keras_columns(run)
    fields = [{"name": name, "type": "number"} for name in columns]
    data = [{"index": number} | row for number, row in enumerate(rows(columns))]
    return json.dumps({"schema": {"fields": fields, "primaryKey": ["index"]}, "data": data})


@form("fastai, CSVLogger")
def fastai(run):
    names = {"epoch": zero_based(run), "train_loss": run["train_loss"], "valid_loss": run["val_loss"]}
    errors = {"accuracy": run["val_accuracy"], "error_rate": [round(1 - share, 6) for share in run["val_accuracy"]]}
    return to_csv(names | errors | {"time": ["00:12"] * len(run["epoch"])})


@form("Lightning, CSVLogger")
def lightning(run):
    content = []
    for row in rows(run):
        place = {"epoch": int(row["epoch"]) - 1, "step": int(row["epoch"]) * 50 - 1}
        content.append(place | {"val_acc": row["val_accuracy"], "val_loss": row["val_loss"]})
        content.append(place | {"train_acc": row["train_accuracy"], "train_loss": row["train_loss"]})
    return table(content)


@form("Lightning, CSVLogger with steps")
def lightning_steps(run):
    content = []
    for row in rows(run):
        epoch = int(row["epoch"]) - 1
        for number, value in enumerate(steps(row["train_loss"])):
            content.append({"epoch": epoch, "step": 50 * epoch + 10 * number, "train_loss_step": value})
        place = {"epoch": epoch, "step": 50 * epoch + 49}
        content.append(place | {"val_acc": row["val_accuracy"], "val_loss": row["val_loss"]})
        content.append(place | {"train_acc_epoch": row["train_accuracy"], "train_loss_epoch": row["train_loss"]})
    content.append({"epoch": len(run["epoch"]), "step": 50 * len(run["epoch"]), "test_loss": 9.9, "test_acc": 0.1})
    return table(content)


@form("Hugging Face, trainer_state.json", "json")
def hugging_face(run):
    log = []
    for row in rows(run):
        for number, value in enumerate(steps(row["train_loss"]), 1):
            epoch = round(row["epoch"] - 1 + number / STEPS, 2)
            log.append({"epoch": epoch, "grad_norm": 1.5, "learning_rate": RATE, "loss": value, "step": 50 * number})
        log.append(
            {
                "epoch": row["epoch"],
                "eval_accuracy": row["val_accuracy"],
                "eval_loss": row["val_loss"],
                "eval_runtime": 3.5,
                "eval_samples_per_second": 199.5,
                "step": 50 * int(row["epoch"]),
            }
        )
    mean = float(np.mean(run["train_loss"]))
    log.append({"epoch": run["epoch"][-1], "total_flos": 1e15, "train_loss": mean, "train_runtime": 288.0})
    return json.dumps({"best_metric": None, "epoch": run["epoch"][-1], "log_history": log, "max_steps": 1200})


@form("Hugging Face, table of a model card", "md")
def model_card(run):
    text = ["| Epoch | Training Loss | Validation Loss | Accuracy |", "|:-----:|:-------------:|:---:|:---:|"]
    for number, row in enumerate(rows(run)):
        loss = row["train_loss"] if number else "No log"
        text.append(f"| {int(row['epoch'])} | {loss} | {row['val_loss']} | {row['val_accuracy']} |")
    return "\n".join(text) + "\n"


@form("Ultralytics, results.csv")
def ultralytics(run):
    count = len(run["epoch"])
    scores = {"metrics/accuracy_top1": run["val_accuracy"], "metrics/accuracy_top5": [0.999] * count}
    rates = {f"lr/pg{number}": [RATE] * count for number in range(3)}
    columns = {
        "epoch": [int(epoch) for epoch in run["epoch"]],
        "time": running_time(run),
        "train/loss": run["train_loss"],
    }
    return to_csv(columns | scores | {"val/loss": run["val_loss"]} | rates)


@form("YOLOv5, results.csv")
def yolo(run):
    columns = {
        "               epoch": zero_based(run),
        "          train/loss": run["train_loss"],
        "           test/loss": run["val_loss"],
        "metrics/accuracy_top1": run["val_accuracy"],
    }
    return to_csv(columns)


@form("timm, summary.csv")
def timm(run):
    scores = {"eval_top1": percents(run["val_accuracy"]), "eval_top5": [99.9] * len(run["epoch"])}
    losses = {"epoch": zero_based(run), "train_loss": run["train_loss"], "eval_loss": run["val_loss"]}
    return to_csv(losses | scores | {"lr": [RATE] * len(run["epoch"])})


@form("DeiT and MAE, log.txt", "txt")
def deit(run):
    return lines(
        [
            {
                "train_lr": RATE,
                "train_loss": row["train_loss"],
                "test_loss": row["val_loss"],
                "test_acc1": 100 * row["val_accuracy"],
                "test_acc5": 99.9,
                "epoch": int(row["epoch"]) - 1,
                "n_parameters": 22,
            }
            for row in rows(run)
        ]
    )


@form("pytorch-classification, log.txt", "txt")
def pytorch_classification(run):
    columns = {
        "Learning Rate": [RATE] * len(run["epoch"]),
        "Train Loss": run["train_loss"],
        "Valid Loss": run["val_loss"],
        "Train Acc.": percents(run["train_accuracy"]),
        "Valid Acc.": percents(run["val_accuracy"]),
    }
    return to_csv(columns, "\t").replace("\n", "\t\n")


@form("skorch, history.json", "json")
def skorch(run):
    return json.dumps(
        [
            {
                "batches": [{"train_loss": 9.0, "train_batch_size": 128}] * 2,
                "epoch": int(row["epoch"]),
                "dur": SECONDS,
                "train_loss": row["train_loss"],
                "train_loss_best": True,
                "valid_acc": row["val_accuracy"],
                "valid_acc_best": False,
                "valid_loss": row["val_loss"],
                "valid_loss_best": True,
                "train_batch_count": 2,
            }
            for row in rows(run)
        ]
    )


@form("Chainer, LogReport", "json")
def chainer(run):
    return json.dumps(
        [
            {
                "main/loss": row["train_loss"],
                "main/accuracy": row["train_accuracy"],
                "validation/main/loss": row["val_loss"],
                "validation/main/accuracy": row["val_accuracy"],
                "epoch": int(row["epoch"]),
                "iteration": 600 * int(row["epoch"]),
                "elapsed_time": SECONDS * row["epoch"],
            }
            for row in rows(run)
        ]
    )


@form("AllenNLP, metrics_epoch_*.json in one file", "jsonl")
def allennlp(run):
    return lines(
        [
            {
                "best_epoch": 3,
                "peak_gpu_0_memory_MB": 951.9,
                "training_duration": "0:09:32.450771",
                "epoch": int(row["epoch"]) - 1,
                "training_accuracy": row["train_accuracy"],
                "training_loss": row["train_loss"],
                "validation_accuracy": row["val_accuracy"],
                "validation_loss": row["val_loss"],
                "best_validation_accuracy": 0.9,
                "best_validation_loss": 0.1,
            }
            for row in rows(run)
        ]
    )


@form("Flair, loss.tsv", "tsv")
def flair(run):
    count = len(run["epoch"])
    clock = [f"{10 + int(epoch) // 60:02}:{int(epoch) % 60:02}:07" for epoch in run["epoch"]]
    columns = {
        "EPOCH": [int(epoch) for epoch in run["epoch"]],
        "TIMESTAMP": clock,
        "BAD_EPOCHS": [0] * count,
        "LEARNING_RATE": ["0.1000"] * count,
        "TRAIN_LOSS": run["train_loss"],
        "TRAIN_ACCURACY": ["_"] * count,
        "DEV_LOSS": run["val_loss"],
        "DEV_F-SCORE": [0.5] * count,
        "DEV_ACCURACY": run["val_accuracy"],
        "TEST_LOSS": ["_"] * count,
        "TEST_ACCURACY": [0.7] * count,
    }
    return to_csv(columns, "\t")


@form("fairseq, JSON log", "jsonl")
def fairseq(run):
    content = []
    for row in rows(run):
        epoch = int(row["epoch"])
        content.append(
            {
                "epoch": epoch,
                "train_loss": f"{row['train_loss']:.6f}",
                "train_wall": f"{SECONDS * epoch}",
                "train_lr": f"{RATE}",
            }
        )
        content.append(
            {
                "epoch": epoch,
                "valid_loss": f"{row['val_loss']:.6f}",
                "valid_accuracy": f"{100 * row['val_accuracy']:.4f}",
            }
        )
    return lines(content)


@form("MMClassification, .log.json", "json")
def mmclassification(run):
    content: list[dict] = [{"env_info": "sys.platform: linux", "seed": 0}]
    for row in rows(run):
        for number, value in enumerate(steps(row["train_loss"]), 1):
            content.append(
                {
                    "mode": "train",
                    "epoch": int(row["epoch"]),
                    "iter": 10 * number,
                    "lr": RATE,
                    "memory": 30,
                    "time": 0.3,
                    "loss": value,
                    "top-1": 100 * row["train_accuracy"],
                }
            )
        content.append(
            {
                "mode": "val",
                "epoch": int(row["epoch"]),
                "iter": 10,
                "lr": RATE,
                "loss": row["val_loss"],
                "accuracy_top-1": 100 * row["val_accuracy"],
            }
        )
    return lines(content)


@form("Detectron2, metrics.json with a validation loss", "json")
def detectron(run):
    content = []
    for row in rows(run):
        for number, value in enumerate(steps(row["train_loss"]), 1):
            content.append(
                {
                    "data_time": 0.01,
                    "iteration": 100 * int(row["epoch"]) - 100 + 25 * number - 1,
                    "lr": RATE,
                    "total_loss": value,
                    "eta_seconds": 3.0,
                }
            )
        content[-1]["validation_loss"] = row["val_loss"]
    return lines(content)


@form("XGBoost, evals_result()", "json")
def xgboost(run):
    return json.dumps(
        {
            f"validation_{number}": {
                "mlogloss": run[f"{whose}_loss"],
                "merror": [1 - share for share in run[f"{whose}_accuracy"]],
            }
            for number, whose in enumerate(("train", "val"))
        }
    )


@form("LightGBM, record_evaluation", "json")
def lightgbm(run):
    return json.dumps(
        {
            name: {
                "multi_logloss": run[f"{whose}_loss"],
                "multi_error": [1 - share for share in run[f"{whose}_accuracy"]],
            }
            for name, whose in (("training", "train"), ("valid_1", "val"))
        }
    )


@form("CatBoost, get_evals_result()", "json")
def catboost(run):
    return json.dumps(
        {
            name: {"MultiClass": run[f"{whose}_loss"], "Accuracy": run[f"{whose}_accuracy"]}
            for name, whose in (("learn", "train"), ("validation", "val"))
        }
    )


@form("scikit-learn, HistGradientBoosting", "json")
def scikit_learn(run):
    return json.dumps(
        {
            "train_score_": [-loss for loss in run["train_loss"]],
            "validation_score_": [-loss for loss in run["val_loss"]],
        }
    )


@form("H2O, scoring history")
def h2o(run):
    content = [
        {
            "timestamp": "2026-01-01 10:00:00",
            "duration": f" {SECONDS * row['epoch']:.3f} sec",
            "epochs": row["epoch"],
            "iterations": int(row["epoch"]),
            "training_rmse": 0.4,
            "training_logloss": row["train_loss"],
            "training_classification_error": 1 - row["train_accuracy"],
            "validation_rmse": 0.5,
            "validation_logloss": row["val_loss"],
            "validation_classification_error": 1 - row["val_accuracy"],
        }
        for row in rows(run)
    ]
    return table(content)


@form("Weights & Biases, export of a Keras run")
def wandb(run):
    names = {f"epoch/{name}": values for name, values in keras_columns(run).items()}
    axes = {
        "_step": zero_based(run),
        "_runtime": running_time(run),
        "_timestamp": [1.7e9 + x for x in running_time(run)],
    }
    return to_csv(axes | {"epoch/epoch": zero_based(run), "epoch/learning_rate": [RATE] * len(run["epoch"])} | names)


@form("Weights & Biases, export of a panel")
def wandb_panel(run):
    columns: dict[str, list] = {"Step": [50 * epoch for epoch in run["epoch"]]}
    for name in ("train_loss", "val_loss"):
        for end in ("", "__MIN", "__MAX"):
            columns[f"glad-sun-3 - {name}{end}"] = run[name]
    return to_csv(columns)


@form("TensorBoard, all scalars as one table (tbparse)")
def tensorboard(run):
    scores = [
        (name, row[name]) for row in rows(run) for name in ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    ]
    content = [
        {"step": number // 4, "tag": name.replace("_", "/"), "value": value}
        for number, (name, value) in enumerate(scores)
    ]
    return table(sorted(content, key=lambda row: row["tag"]))


@form("MLflow, metrics as CSV")
def mlflow(run):
    names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    return table(
        [
            {"Run": "sunny-ant", "metric": name, "value": row[name], "step": int(row["epoch"]), "timestamp": 1.7e12}
            for name in names
            for row in rows(run)
        ]
    )


@form("Ludwig, training_statistics.json", "json")
def ludwig(run):
    def images(whose: str) -> dict:
        return {"combined": {"loss": run[f"{whose}_loss"]}, "label": {"accuracy": run[f"{whose}_accuracy"]}}

    return json.dumps({"test": images("val"), "training": images("train"), "validation": images("val")})


@form("rows by hand, a dictionary of epochs", "json")
def by_hand(run):
    return json.dumps(
        {
            f"epoch {int(row['epoch'])}": {
                "train": {"loss": row["train_loss"], "acc": f"{100 * row['train_accuracy']:.3f}%"},
                "val": {"loss": row["val_loss"], "acc": f"{100 * row['val_accuracy']:.3f}%"},
            }
            for row in rows(run)
        }
    )


def sparse(run: Curves, every: int) -> Curves:
    """The same with validation scores in every so many epochs alone, as `validation_freq` makes them."""
    return {
        name: [
            value if int(epoch) % every == 0 else math.nan for epoch, value in zip(run["epoch"], values, strict=True)
        ]
        if name.startswith("val_")
        else values
        for name, values in run.items()
    }


def disturbed(run: dict, rng: random.Random) -> list[dict]:
    """The same history with columns in another order, others beside them, rows twice, and gaps."""
    count = len(run["epoch"])
    noise = {
        "note": [rng.choice(["ok", "", "naïve ✓", "2026-11-26T03:00:00"]) for _ in range(count)],
        "grad_norm": [rng.choice([math.nan, 1.5, "inf"]) for _ in range(count)],
        "batch": list(range(count)),
        "val_f1": [rng.random() for _ in range(count)],
        "best": [True] * count,
        "val_loss_smoothed": [rng.random() for _ in range(count)],
        "": list(range(count)),
        "lr": [rng.choice(["1e-3", None, "n/a"]) for _ in range(count)],
        "time": [rng.choice(["00:12", "--", "soon"]) for _ in range(count)],
    }
    names = [*run, *rng.sample(sorted(noise), rng.randint(0, len(noise)))]
    rng.shuffle(names)
    rows = [{name: (run | noise)[name][row] for name in names} for row in range(count)]
    for row in rng.sample(range(1, count - 1), 2):  # gaps
        rows[row][rng.choice([name for name in run if name != "epoch"])] = rng.choice(["", None])
    twice = rng.randrange(count)
    return [*rows[:twice], rows[twice], *rows[twice:]]


def damaged(text: str, rng: random.Random) -> bytes:
    """A file of which bytes were lost, doubled or changed in some places."""
    content = bytearray(text.encode())
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(content))
        end = start + rng.randint(0, 30)
        other = [
            b"",
            content[start:end] * 2,
            bytes([rng.randrange(32, 127)]),
            b",",
            b'"',
            b"nan",
            b"1e999",
            b"]",
            b"\n",
        ]
        content[start:end] = rng.choice(other)
        content = content or bytearray(b"x")
    return bytes(content)
