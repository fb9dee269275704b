"""Task forms: one conversation form for each task of a model."""

from .task_form import MISNAMED, NAMING, TASKS, TaskForm, task_form, task_form_names, task_form_setting

__all__ = ["MISNAMED", "NAMING", "TASKS", "TaskForm", "task_form", "task_form_names", "task_form_setting"]
