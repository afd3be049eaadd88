// The parts that every page of the studio is made of. A new one is a row here.

export { AttributionOverlay, imageUnder } from "./attribution_overlay.js";
export { Camera } from "/static/components/camera.js";
export { Canvas } from "./canvas.js";
export { ChannelMap } from "./channel_map.js";
export { Button, ButtonLink, Choice, Field, Select, Switch } from "/static/components/controls.js";
export { DataImage } from "./data_image.js";
export { dataFacts, DataList } from "./data_list.js";
export { Confirm, Dialog } from "/static/components/dialog.js";
export { FeatureMap } from "./feature_map.js";
export { FileDrop } from "/static/components/file_drop.js";
export { ImageGrid } from "./image_grid.js";
export { JobStatus, jobState } from "./job_status.js";
export { LineChart } from "./line_chart.js";
export { Load } from "./load.js";
export { MapSheet } from "./map_sheet.js";
export { EmptyState, ErrorNotice, Notice, Progress } from "/static/components/notices.js";
export { Preferences, applyTheme, stored } from "/static/components/preferences.js";
export { Table } from "/static/components/table.js";
export { Tabs } from "/static/components/tabs.js";
export { Cells, Legend, Savers, ValueTable, WeightField } from "./values.js";
