"""`SummaryWriter`: scalars, histograms, pictures and text in the event files of TensorBoard."""

from __future__ import annotations

import atexit
import itertools
import os
import socket
import threading
import time
import weakref
from datetime import datetime
from typing import Any

from fakel.utils.tensorboard import summary
from fakel.utils.tensorboard.pictures import figure_to_image
from fakel.utils.tensorboard.wire import data, double, integer, record

__all__ = ["FileWriter", "SummaryWriter"]

_numbers = itertools.count()
_open: weakref.WeakSet[FileWriter] = weakref.WeakSet()


def _flush_all() -> None:
    for writer in list(_open):
        writer.flush()


atexit.register(_flush_all)


class FileWriter:
    """One event file.

    Args:
        log_dir: its folder, which is made.
        max_queue: so many events are kept before they are written.
        flush_secs: events do not wait longer than this for the next one to be written with.
        filename_suffix: the end of its name.
    """

    def __init__(
        self, log_dir: Any, max_queue: int = 10, flush_secs: float = 120, filename_suffix: str = ""
    ) -> None:
        self._logdir = str(log_dir)
        self._max_queue = max_queue
        self._flush_secs = flush_secs
        self._suffix = filename_suffix
        self._waiting: list[bytes] = []
        self._lock = threading.RLock()
        self.reopen()

    def reopen(self) -> None:
        """Begins a new file."""
        os.makedirs(self._logdir, exist_ok=True)
        now = time.time()
        name = f"{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        path = os.path.join(self._logdir, f"events.out.tfevents.{name}{self._suffix}")
        self._file = open(path, "wb")
        self._flushed = now
        _open.add(self)
        source = data(1, "tensorboard.summary.writer.event_file_writer")
        self._file.write(record(double(1, now) + data(3, "brain.Event:2") + data(10, source)))
        self._file.flush()

    def get_logdir(self) -> str:
        """The folder."""
        return self._logdir

    def add_event(self, content: bytes, step: Any = None, walltime: float | None = None) -> None:
        """Adds an event.

        Args:
            content: an encoded field of it.
            step: its number.
            walltime: seconds since 1970; now for None.

        Raises:
            OSError: when the file is closed.
        """
        now = time.time()
        head = double(1, now if walltime is None else walltime)
        head += integer(2, 0 if step is None else int(step))
        with self._lock:
            if self._file.closed:
                raise OSError("Writer is closed")
            self._waiting.append(record(head + content))
            if len(self._waiting) > self._max_queue or now - self._flushed > self._flush_secs:
                self.flush()

    def add_summary(
        self, content: bytes, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Adds an event with an encoded summary."""
        self.add_event(data(5, content, always=True), global_step, walltime)

    def flush(self) -> None:
        """Writes what waits."""
        with self._lock:
            if not self._file.closed:
                self._file.writelines(self._waiting)
                self._file.flush()
            self._waiting = []
            self._flushed = time.time()

    def close(self) -> None:
        """Writes what waits and closes the file."""
        with self._lock:
            self.flush()
            self._file.close()
            _open.discard(self)


def _bins() -> list[float]:
    """TensorFlow's buckets: from 1e-12 to 1e20, each a tenth larger; the same below zero; zero."""
    positive = []
    limit = 1e-12
    while limit < 1e20:
        positive.append(limit)
        limit *= 1.1
    return [-limit for limit in reversed(positive)] + [0] + positive


class SummaryWriter:
    """Writes what TensorBoard shows. TensorBoard itself is not needed for it.

    Args:
        log_dir: the folder; for None ``runs/`` with date, time, host and ``comment``.
        comment: the end of that name.
        purge_step: TensorBoard forgets earlier events from this step on, after a crash.
        max_queue: so many events are kept before they are written.
        flush_secs: events do not wait longer than this for the next one to be written with.
        filename_suffix: the end of the files' names.
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            now = datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = log_dir
        self.purge_step = purge_step
        self.max_queue = max_queue
        self.flush_secs = flush_secs
        self.filename_suffix = filename_suffix
        self.all_writers: dict[str, FileWriter] | None = None
        self.default_bins = _bins()
        self._get_file_writer()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"fakel has no SummaryWriter.{name} yet", name=name, obj=self)

    def _new_writer(self, folder: str) -> FileWriter:
        return FileWriter(folder, self.max_queue, self.flush_secs, self.filename_suffix)

    def _get_file_writer(self) -> FileWriter:
        if self.all_writers is None:
            self.file_writer: Any = self._new_writer(str(self.log_dir))
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                self.file_writer.add_event(data(3, "brain.Event:2"), self.purge_step)
                self.file_writer.add_event(data(7, integer(1, 1)), self.purge_step)
                self.purge_step = None
        return self.file_writer

    def _add(self, content: bytes, global_step: Any = None, walltime: float | None = None) -> None:
        self._get_file_writer().add_summary(content, global_step, walltime)

    def get_logdir(self) -> Any:
        """The folder."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Adds a number to a curve.

        Args:
            tag: the curve's name.
            scalar_value: a number, or a tensor of one element.
            global_step: where on the curve.
            walltime: seconds since 1970; now for None.
            new_style: as a tensor, which TensorBoard loads faster.
            double_precision: in float64, with ``new_style``.
        """
        encoded = summary.scalar(tag, scalar_value, new_style, double_precision)
        self._add(encoded, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: dict[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Adds numbers to several curves of one chart, each in a folder of its own.

        Args:
            main_tag: the chart's name.
            tag_scalar_dict: numbers by the curves' names.
            global_step: where on the curves.
            walltime: seconds since 1970; now for None.
        """
        walltime = time.time() if walltime is None else walltime
        folder = self._get_file_writer().get_logdir()
        writers: Any = self.all_writers
        for tag, value in tag_scalar_dict.items():
            path = f"{folder}/{main_tag.replace('/', '_')}_{tag}"
            if path not in writers:
                writers[path] = self._new_writer(path)
            writers[path].add_summary(summary.scalar(main_tag, value), global_step, walltime)

    def add_tensor(
        self, tag: str, tensor: Any, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Adds a tensor.

        Args:
            tag: its name.
            tensor: the tensor.
            global_step: the step.
            walltime: seconds since 1970; now for None.
        """
        self._add(summary.tensor_proto(tag, tensor), global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Adds a histogram.

        Args:
            tag: its name.
            values: a tensor or an array.
            global_step: the step.
            bins: ``tensorflow``, or what ``numpy.histogram`` takes.
            walltime: seconds since 1970; now for None.
            max_bins: the most buckets.
        """
        if isinstance(bins, str) and bins == "tensorflow":
            bins = self.default_bins
        self._add(summary.histogram(tag, values, bins, max_bins), global_step, walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: float,
        sum: float,
        sum_squares: float,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Adds a histogram of known counts.

        Args:
            tag: its name.
            min: the least value.
            max: the largest value.
            num: the number of values.
            sum: their sum.
            sum_squares: the sum of their squares.
            bucket_limits: upper limits of the buckets.
            bucket_counts: how many values each has.
            global_step: the step.
            walltime: seconds since 1970; now for None.

        Raises:
            ValueError: when there are not as many limits as counts.
        """
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        moments = min, max, num, sum, sum_squares
        encoded = summary.histogram_raw(tag, *moments, bucket_limits, bucket_counts)
        self._add(encoded, global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Adds a picture; Pillow is needed.

        Args:
            tag: its name.
            img_tensor: bytes, or numbers from 0 to 1.
            global_step: the step.
            walltime: seconds since 1970; now for None.
            dataformats: a letter a dimension: C, H and W in some order, or H and W.
        """
        self._add(summary.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Adds several pictures in a grid; Pillow is needed.

        Args:
            tag: its name.
            img_tensor: bytes, or numbers from 0 to 1.
            global_step: the step.
            walltime: seconds since 1970; now for None.
            dataformats: a letter a dimension: N, C, H and W in some order.
        """
        self._add(summary.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Adds a figure of Matplotlib, or a list of figures in a grid.

        Args:
            tag: its name.
            figure: a figure, or a list of them.
            global_step: the step.
            close: whether they are closed.
            walltime: seconds since 1970; now for None.
        """
        dataformats = "NCHW" if isinstance(figure, list) else "CHW"
        pixels = figure_to_image(figure, close)
        self.add_image(tag, pixels, global_step, walltime, dataformats=dataformats)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: int | None = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Adds sound.

        Args:
            tag: its name.
            snd_tensor: samples between -1 and 1.
            global_step: the step.
            sample_rate: samples a second.
            walltime: seconds since 1970; now for None.
        """
        self._add(summary.audio(tag, snd_tensor, sample_rate), global_step, walltime)

    def add_text(
        self,
        tag: str,
        text_string: str,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Adds text, which TensorBoard shows as Markdown.

        Args:
            tag: its name.
            text_string: the text.
            global_step: the step.
            walltime: seconds since 1970; now for None.
        """
        self._add(summary.text(tag, text_string), global_step, walltime)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Adds a curve of precision and recall.

        Args:
            tag: its name.
            labels: truth values.
            predictions: probabilities.
            global_step: the step.
            num_thresholds: how many thresholds, 127 at most.
            weights: of the examples; 1 for None.
            walltime: seconds since 1970; now for None.
        """
        arrays = summary.as_array(labels), summary.as_array(predictions)
        encoded = summary.pr_curve(tag, *arrays, num_thresholds, weights)
        self._add(encoded, global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Adds a curve of known precision and recall.

        Args:
            tag: its name.
            true_positive_counts: by threshold.
            false_positive_counts: by threshold.
            true_negative_counts: by threshold.
            false_negative_counts: by threshold.
            precision: by threshold.
            recall: by threshold.
            global_step: the step.
            num_thresholds: how many thresholds, 127 at most.
            weights: of no effect, as in PyTorch: the counts are known.
            walltime: seconds since 1970; now for None.
        """
        rows = (
            true_positive_counts,
            false_positive_counts,
            true_negative_counts,
            false_negative_counts,
            precision,
            recall,
        )
        self._add(summary.pr_curve_raw(tag, *rows, num_thresholds), global_step, walltime)

    def add_custom_scalars(self, layout: dict[str, dict[str, Any]]) -> None:
        """Says how scalars are shown together.

        Args:
            layout: category -> title -> ``["Multiline", tags]`` or ``["Margin", three tags]``.
        """
        self._add(summary.custom_scalars(layout))

    def add_custom_scalars_multilinechart(
        self, tags: Any, category: str = "default", title: str = "untitled"
    ) -> None:
        """Says that scalars are shown in one chart."""
        self._add(summary.custom_scalars({category: {title: ["Multiline", tags]}}))

    def add_custom_scalars_marginchart(
        self, tags: Any, category: str = "default", title: str = "untitled"
    ) -> None:
        """Says that three scalars are shown as a curve with a margin: value, lower, upper."""
        if len(tags) != 3:
            raise AssertionError(f"Expected 3 tags, got {len(tags)}.")
        self._add(summary.custom_scalars({category: {title: ["Margin", tags]}}))

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: dict[str, Any] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Adds hyperparameters and what came of them, as a run of their own.

        Args:
            hparam_dict: hyperparameters: numbers, truth values, texts, tensors.
            metric_dict: numbers by name, unlike those of other scalars.
            hparam_domain_discrete: the values that a hyperparameter may have.
            run_name: the run's folder, inside of this one's; the time for None.
            global_step: the step.

        Raises:
            TypeError: when they are no dictionaries.
        """
        if type(hparam_dict) is not dict or type(metric_dict) is not dict:
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        encoded = summary.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = self._get_file_writer().get_logdir()
        with SummaryWriter(os.path.join(folder, run_name or str(time.time()))) as writer:
            for each in encoded:
                writer._add(each, global_step)
            for name, value in metric_dict.items():
                writer.add_scalar(name, value, global_step)

    def flush(self) -> None:
        """Writes all that waits."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Writes all that waits and closes the files; adding more opens new ones."""
        for writer in (self.all_writers or {}).values():
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        self.close()
